"""A fraud-detection pipeline for card payments that keeps working when things break."""
