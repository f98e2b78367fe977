"""The rehearsal: a simulated year of releases, with models that go wrong, beside the same year without protection."""
