"""What every table looks like: columns, units, keys and closed vocabularies. Imports nothing else of the project."""
