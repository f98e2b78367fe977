"""The release as a picture: who decided for whom, and how precise each model was on mature labels."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from pipeline_assets.contracts.features import LABEL_DELAY_DAYS
from pipeline_assets.contracts.vocabularies import ReleaseAction, Rung
from pipeline_assets.core.figures import make_figure, to_png
from pipeline_assets.core.release.entries import ReleaseEntry, find_entry_in_force
from pipeline_assets.core.release.evidence import Health
from pipeline_assets.core.release.states import State, read_state

_NAMED: Final = frozenset(ReleaseAction) - {ReleaseAction.HOLD}
_RULES: Final = "rules"
_SMOOTHED_DAYS: Final = 7


def plot_release(entries: Sequence[ReleaseEntry], health: Health, first: date, last: date) -> bytes:
    """The shares of the traffic and the average precision of each model from ``first`` to ``last``, as PNG.

    Above, each model's share of the customers, with what was decided; below, its average precision on the payments of
    a day, mean of seven days, by the day of the payments.
    """
    figure = make_figure(9, 6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    in_force = [find_entry_in_force(entries, datetime.combine(day, datetime.max.time(), UTC)) for day in days]
    shares = [_share_by_model(read_state(entry)) for entry in in_force]
    models = sorted({*(model for one in shares for model in one), *map(_call, _list_models(health))})
    colours = {model: f"C{number % 10}" for number, model in enumerate(models)}
    _draw_shares(upper, days, shares, colours)
    _draw_actions(upper, in_force)
    _draw_precision(lower, health, colours)
    upper.set(ylabel="share of the customers", ylim=(0, 1.02))
    lower.set(ylabel="average precision", xlim=(first, last))
    lower.grid(alpha=0.3)
    if models:
        figure.legend(*_list_handles(colours), loc="outside right upper", fontsize=7)
    figure.autofmt_xdate()
    return to_png(figure)


def _share_by_model(state: State) -> dict[str, float]:
    parts = {Rung.CHAMPION: state.champion, Rung.CANARY: state.canary, Rung.BACKUP: state.backup}
    shares: dict[str, float] = {}
    for rung, share in state.traffic.items():
        model = parts.get(rung) or _RULES
        shares[model] = shares.get(model, 0.0) + share
    return shares


def _draw_shares(axes: Any, days: Sequence[date], shares: Sequence[dict[str, float]], colours: dict[str, str]) -> None:
    floor = [0.0] * len(days)
    for model, colour in colours.items():
        top = [base + one.get(model, 0.0) for base, one in zip(floor, shares, strict=True)]
        axes.fill_between(days, floor, top, step="post", color=colour, alpha=0.8, linewidth=0)
        floor = top


def _draw_actions(axes: Any, in_force: Sequence[ReleaseEntry | None]) -> None:
    for before, entry in pairwise([None, *in_force]):
        if entry is not None and entry.action in _NAMED and (before is None or entry.sequence != before.sequence):
            axes.axvline(entry.as_of, color="black", linewidth=0.6, linestyle=":")
            axes.text(entry.as_of, 0.98, str(entry.action), rotation=90, fontsize=6, va="top", ha="right")


def _draw_precision(axes: Any, health: Health, colours: dict[str, str]) -> None:
    for model in _list_models(health):
        found = [
            (day - timedelta(days=LABEL_DELAY_DAYS), models[model]["mature_average_precision"])
            for day, models in sorted(health.days.items())
            if "mature_average_precision" in models.get(model, {})
        ]
        smooth = [
            (day, sum(value for _, value in found[max(0, place - _SMOOTHED_DAYS + 1) : place + 1])
             / min(place + 1, _SMOOTHED_DAYS))
            for place, (day, _) in enumerate(found)
        ]  # fmt: skip
        if smooth:
            axes.plot(*zip(*smooth, strict=True), color=colours[_call(model)], linewidth=1.2)


def _list_models(health: Health) -> list[str]:
    return sorted({model for models in health.days.values() for model in models})


def _call(model: str) -> str:
    return _RULES if model.startswith(f"{_RULES}-") else model  # their version is their parameters


def _list_handles(colours: dict[str, str]) -> tuple[list[Any], list[str]]:
    from matplotlib.patches import Patch

    return [Patch(color=colour) for colour in colours.values()], list(colours)
