"""The world outside: storage, lake, landing zone, model files, release log, DuckDB. No Dagster."""
