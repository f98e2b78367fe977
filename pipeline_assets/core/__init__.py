"""What the pipeline knows: pure functions on frames and values. No Dagster, files, clock or environment."""
