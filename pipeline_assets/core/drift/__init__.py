"""Drift: how far inputs and scores of the latest days lie from those the model was trained on, and what to do about it.

Bins are made with the model; each day is counted into them, so that days can be added up. No label is needed.
"""

from pipeline_assets.core.drift.bins import Counts
from pipeline_assets.core.drift.measure import (
    Comparison,
    Verdicts,
    compare_window,
    judge_drift,
    read_verdicts,
    tabulate,
)
from pipeline_assets.core.drift.params import DriftParams
from pipeline_assets.core.drift.plots import Bins, list_bins, plot_bins, plot_distances
from pipeline_assets.core.drift.reference import (
    SCORE,
    SUBJECTS,
    Reference,
    SubjectReference,
    build_reference,
    count_payments,
    read_reference,
    write_reference,
)
from pipeline_assets.core.drift.response import Response, decide_response

__all__ = [
    "SCORE",
    "SUBJECTS",
    "Bins",
    "Comparison",
    "Counts",
    "DriftParams",
    "Reference",
    "Response",
    "SubjectReference",
    "Verdicts",
    "build_reference",
    "compare_window",
    "count_payments",
    "decide_response",
    "judge_drift",
    "list_bins",
    "plot_bins",
    "plot_distances",
    "read_reference",
    "read_verdicts",
    "tabulate",
    "write_reference",
]
