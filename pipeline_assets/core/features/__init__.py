"""The features of payments: point-in-time correct, exact, and pure functions of the last 92 daily partitions.

A row sees the rows and reports that had come in by its own arrival, in the order (event time, transaction id).
"""

from pipeline_assets.core.features.inputs import (
    MODEL_FEATURES,
    RARE_TAIL_FEATURES,
    add_clock_features,
    make_model_inputs,
)
from pipeline_assets.core.features.tables import FeatureTables, compute_features

__all__ = [
    "MODEL_FEATURES",
    "RARE_TAIL_FEATURES",
    "FeatureTables",
    "add_clock_features",
    "compute_features",
    "make_model_inputs",
]
