"""Both arms of a rehearsal as a picture."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

import polars as pl

from pipeline_assets.core.figures import make_figure, to_png

_CENTS: Final = 100  # of the currency's major unit
_COLOURS: Final = {"protected": "C0", "unprotected": "C3"}


def plot_arms(weeks: Mapping[str, pl.DataFrame], events: Sequence[tuple[date, str]]) -> bytes:
    """Average precision and cost of each week with and without protection, as PNG.

    Args:
        weeks: By arm, the columns of ``measure_weeks``.
        events: What happened when, by name.
    """
    figure = make_figure(9, 6)
    upper, lower = figure.subplots(2, 1, sharex=True)
    for arm, frame in weeks.items():
        upper.plot(frame["week"], frame["average_precision"], color=_COLOURS[arm], label=arm)
        lower.plot(frame["week"], frame["cost_cents"] / _CENTS, color=_COLOURS[arm], label=arm)
    for day, name in events:
        for axes in (upper, lower):
            axes.axvline(day, color="black", linewidth=0.6, linestyle=":")
        upper.text(
            day, 0.02, name, rotation=90, fontsize=7, va="bottom", ha="right", transform=upper.get_xaxis_transform()
        )
    upper.set(ylabel="average precision of a week", ylim=(0, 1))
    lower.set(ylabel="cost of a week's decisions", yscale="log")
    lower.legend()
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
    figure.autofmt_xdate()
    return to_png(figure)
