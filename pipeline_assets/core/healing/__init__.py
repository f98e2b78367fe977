"""Healing: what is broken and must be made again, who may be tried again and when."""
