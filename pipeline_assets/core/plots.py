"""Plots as PNG bytes: pure, the same numbers always give the same bytes on the same machine."""

from collections.abc import Mapping
from typing import Final

import polars as pl

from pipeline_assets.core.evaluation import Evaluation
from pipeline_assets.core.figures import make_figure, to_png

_SHOWN: Final = {
    "average_precision": "average precision",
    "fraud_amount_stopped_share": "amount of fraud that was stopped",
    "honest_declined_share": "honest payments that were declined",
}


def plot_precision_recall(evaluations: Mapping[str, Evaluation]) -> bytes:
    """The precision-recall curves of several scorers on one test set, each with its average precision, as PNG.

    Args:
        evaluations: By the name that stands in the legend.
    """
    figure = make_figure(6, 4)
    axes = figure.add_subplot(
        xlabel="recall: share of frauds found", ylabel="precision: frauds among those flagged", xlim=(0, 1), ylim=(0, 1)
    )
    for name, evaluation in evaluations.items():
        recall, precision = zip(*evaluation.curve, strict=True)
        axes.plot(recall, precision, label=f"{name}: {evaluation.average_precision:.3f}")
    if evaluations:
        axes.legend(title="average precision")
    axes.grid(alpha=0.3)
    return to_png(figure)


def plot_performance(by_day: pl.DataFrame) -> bytes:
    """How good the decisions were that were really taken, by the last day of each period, as PNG.

    Args:
        by_day: ``date`` and metrics, as :func:`pipeline_assets.core.metrics.list_by_day` gives them.
    """
    figure = make_figure(8, 4)
    axes = figure.add_subplot(ylim=(0, 1.02), ylabel="share, on mature labels")
    for metric, label in _SHOWN.items():
        axes.plot(by_day["date"].to_list(), by_day[metric].to_list(), label=label)
    axes.legend(loc="lower left")
    axes.grid(alpha=0.3)
    figure.autofmt_xdate()
    return to_png(figure)
