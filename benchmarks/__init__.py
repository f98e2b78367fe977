"""Each prints a ratio, measured side by side with its alternative in one run."""
