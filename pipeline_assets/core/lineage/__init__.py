"""Lineage: what each partition is made from, and the record of what it really was made from."""
