"""Drills: each breaks something for real, lets the pipeline recover, and measures whether and how fast it did.

A drill is a function of a small built world (``world.py``) and a journal (``drill.py``), in a module of its own or of
its family, and an entry of the one list in ``registry.py``. ``verify.py`` says what "recovered" means, ``report.py``
tells what was found. Nothing of the pipeline imports from here.
"""
