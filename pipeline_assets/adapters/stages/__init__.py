"""The stages of the pipeline on its stores: load, one call into ``core``, write. No Dagster: the assets call these.

Every stage takes the partitions to make, in order, and yields what it made of each. A range is worked off in chunks, so
that memory follows the features' trailing window and not the length of the range.
"""
