"""How good the decisions were, on mature labels; and tables of reports."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from typing import Final

import polars as pl

from pipeline_assets.adapters.stages.made import Made, chunk_days, describe
from pipeline_assets.adapters.stages.view import View
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.contracts.tables import CHARGEBACKS, PERFORMANCE, SCORES, TRANSACTIONS, Table
from pipeline_assets.core.lineage.recipes import describe_performance
from pipeline_assets.core.metrics import list_by_day
from pipeline_assets.core.performance import PerformanceParams, measure_decisions
from pipeline_assets.core.plots import plot_performance

_CHUNK_DAYS: Final = 28  # days whose rows are read together
_PLOTTED_DAYS: Final = 90


def measure_performance(
    stores: Stores, params: PerformanceParams, top_cards: int, days: Sequence[date]
) -> Iterator[Made]:
    """Measure, for each of ``days``, the decisions on the latest payments whose labels are mature by its end."""
    recipe = describe_performance(params, top_cards)
    for chunk in chunk_days(days, _CHUNK_DAYS):
        view = View(stores)
        first = chunk[0] - timedelta(days=params.days_back)
        transactions = view.read_window(TRANSACTIONS, first, chunk[-1])
        chargebacks = view.read_window(CHARGEBACKS, first, chunk[-1])
        scores = view.read_window(SCORES, first, chunk[-1]).drop("arrival_date")
        decided = transactions.join(scores, on="transaction_id", maintain_order="left")
        frames = {day: measure_decisions(decided, chargebacks, day, params, top_cards) for day in chunk}
        for day, written in stores.lake.write_days(PERFORMANCE, frames):
            view.record(recipe, day, {f"lake/{written.path}": written.md5})
            made = describe("lake", PERFORMANCE, day, written, frames[day], **_tell(frames[day]))
            plots = {"performance": partial(_plot, stores, day)} if day == days[-1] else {}
            yield replace(made, plots=plots)


def _plot(stores: Stores, day: date) -> bytes:
    """The periods up to ``day``, those of earlier days as they are in the lake."""
    shown = [one for one in stores.lake.days(PERFORMANCE) if day - timedelta(days=_PLOTTED_DAYS) < one <= day]
    parts = stores.lake.read(PERFORMANCE, shown, with_date=True).partition_by("date", as_dict=True, include_key=False)
    return plot_performance(list_by_day({one: parts[(one,)] for one in shown if (one,) in parts}))


def _tell(frame: pl.DataFrame) -> Mapping[str, object]:
    overall = frame.filter(pl.col("scope") == "all", pl.col("value").is_not_null())
    return dict(overall.select("metric", "value").iter_rows())


def write_reports(stores: Stores, table: Table, frames: Mapping[date, pl.DataFrame]) -> Iterator[Made]:
    """Write partitions of a table that is kept with the reports."""
    for day, written in stores.reports.write_days(table, frames):
        yield describe("reports", table, day, written, frames[day])
