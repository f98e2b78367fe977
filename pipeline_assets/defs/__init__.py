"""Dagster: one module a stage (its assets, checks and sensors together), plus partitions, resources and jobs."""
