"""Drift as pictures: how far everything lies from its reference, and what the worst of it looked like before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline_assets.core.drift.bins import Counts, Floats
from pipeline_assets.core.drift.measure import Comparison
from pipeline_assets.core.drift.reference import SubjectReference
from pipeline_assets.core.figures import make_figure, to_png

_NOW: Final = "tab:orange"
_REFERENCE: Final = "tab:blue"
_DRIFTED: Final = "tab:red"
_MAX_NAMED_BINS: Final = 8


@dataclass(frozen=True)
class Bins:
    """The bins of one subject.

    Attributes:
        names: What each holds.
        reference: Share of the reference's rows in each.
        found: Share of the window's rows.
    """

    names: Sequence[str]
    reference: Floats
    found: Floats


def list_bins(one: SubjectReference, rows: Counts) -> Bins:
    """The bins of a subject, but those that are empty in both, such as that of missing values where there are none.

    Args:
        one: The reference.
        rows: Of the window, by bin.
    """
    ends = [f"{edge:.4g}" for edge in one.edges]
    names = ["missing", *(f"≤ {end}" for end in ends), f"> {ends[-1]}" if ends else "any"]
    shares = one.rows / one.rows.sum(), rows / max(1, rows.sum())
    used = np.flatnonzero(one.rows + rows)
    return Bins([names[number] for number in used], shares[0][used], shares[1][used])


def plot_distances(compared: Sequence[Comparison]) -> bytes:
    """The distance of each subject of which there is evidence, with its threshold, the worst on top, as PNG."""
    known = sorted((one for one in compared if one.distance is not None), key=lambda one: (-one.strain, one.subject))
    figure = make_figure(7, 1.2 + 0.22 * len(known))
    axes = figure.add_subplot(xlabel="distance from the training reference, in standard deviations")
    colours = [_DRIFTED if one.is_drifted else _REFERENCE for one in known]
    axes.barh(range(len(known)), [one.distance for one in known], color=colours, height=0.6)
    limits = {place: one.threshold for place, one in enumerate(known) if one.threshold is not None}
    axes.scatter(list(limits.values()), list(limits), marker="|", s=120, color="black", label="threshold", zorder=3)
    axes.set_yticks(range(len(known)), [one.subject for one in known], fontsize=8)
    axes.invert_yaxis()
    axes.legend(loc="lower right")
    axes.grid(axis="x", alpha=0.3)
    return to_png(figure)


def plot_bins(bins: Mapping[str, Bins]) -> bytes:
    """The shares of rows by bin, of the reference and of the window side by side, a panel for each subject, as PNG."""
    figure = make_figure(9, 2.3 * max(1, (len(bins) + 1) // 2))
    for number, (subject, one) in enumerate(bins.items()):
        axes = figure.add_subplot((len(bins) + 1) // 2, 2, number + 1)
        places = np.arange(len(one.names))
        axes.bar(places - 0.2, one.reference, width=0.4, color=_REFERENCE, label="reference")
        axes.bar(places + 0.2, one.found, width=0.4, color=_NOW, label="now")
        shown = places[:: -(-len(places) // _MAX_NAMED_BINS)]
        axes.set_xticks(shown, [one.names[place] for place in shown], fontsize=6, rotation=30, ha="right")
        axes.set_title(subject, fontsize=9)
        axes.tick_params(axis="y", labelsize=7)
        axes.grid(axis="y", alpha=0.3)
        if number == 0:
            axes.legend(fontsize=7)
    return to_png(figure)
