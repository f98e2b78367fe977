"""Transactions and chargebacks as arrays, in the order in which the kernels walk them: here the frames end."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline_assets.contracts.features import HISTORY_DAYS, MAX_LATENESS_DAYS
from pipeline_assets.core.features.kernels import NEVER, group_positions

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Walk:
    """The rows of every entity one after the other, each entity's in the order (event time, transaction id).

    Days count from 1970-01-01, times are microseconds since then.

    Attributes:
        order: Where the rows of the walk are in the history.
        starts: Where each entity begins in the walk; one more entry than there are entities.
        time: Event times.
        arrival: The days on which the rows came in.
        lateness: Days from the event's day to the arrival.
        amount: Cents.
        reported: When the row was reported as fraud; NEVER for the others.
        report_day: The day on which that report came in; NEVER for the others.
        wanted: Whether the row's features are asked for.
    """

    order: Integers
    starts: Integers
    time: Integers
    arrival: Integers
    lateness: Integers
    amount: Integers
    reported: Integers
    report_day: Integers
    wanted: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class History:
    """All that rows arriving in a range of days may look back on, in the order (event time, transaction id)."""

    frame: pl.DataFrame

    def walk(self, entity_column: str) -> Walk:
        """Group the rows by an id. The groups are in no particular order, so nothing may depend on theirs."""
        codes = self.frame[entity_column].cast(pl.Categorical(pl.Categories.random())).to_physical().to_numpy()
        order, starts = group_positions(codes, int(codes.max()) + 1 if codes.size else 0)
        day = self._column("arrival_date")
        event_day = self.frame["event_time"].dt.date().to_physical().cast(pl.Int64).to_numpy()
        return Walk(
            order,
            starts,
            self._column("event_time")[order],
            day[order],
            (day - event_day)[order],
            self._column("amount_cents")[order],
            self._column("reported_at")[order],
            self._column("report_date")[order],
            self.frame["is_wanted"].to_numpy()[order],
        )

    def _column(self, name: str) -> Integers:
        return self.frame[name].to_physical().cast(pl.Int64).fill_null(NEVER).to_numpy()


def build_history(transactions: pl.DataFrame, chargebacks: pl.DataFrame, first: date, last: date) -> History:
    """The rows that those arriving in [first, last] may look back on, each with its first report of fraud, if any.

    What arrived after ``last``, or too long before ``first`` to count, is left out. A report that came in before the
    day of the payment itself is not believed.

    Raises:
        ValueError: A row arrived before its event or more than MAX_LATENESS_DAYS after it.
    """
    oldest = first - timedelta(days=HISTORY_DAYS + MAX_LATENESS_DAYS)
    came = pl.col("arrival_date").is_between(oldest, last)
    rows = transactions.filter(came)
    _check_lateness(rows)
    reports = (
        chargebacks.filter(came)
        .rename({"arrival_date": "report_date"})
        .join(rows.select("transaction_id", "event_time"), on="transaction_id")
        .filter(pl.col("report_date") >= pl.col("event_time").dt.date())
        .sort("report_date", "reported_at")
        .unique("transaction_id", keep="first", maintain_order=True)
        .drop("event_time")
    )
    frame = rows.join(reports, on="transaction_id", how="left").with_columns(
        is_wanted=pl.col("arrival_date").is_between(first, last)
    )
    return History(frame.sort("event_time", "transaction_id"))


def _check_lateness(rows: pl.DataFrame) -> None:
    lateness = (pl.col("arrival_date") - pl.col("event_time").dt.date()).dt.total_days()
    wrong = rows.filter(~lateness.is_between(0, MAX_LATENESS_DAYS))
    if not wrong.is_empty():
        first = wrong.select(pl.col("arrival_date").min().cast(pl.String)).item()
        raise ValueError(
            f"transactions: expected every row to arrive 0 to {MAX_LATENESS_DAYS} days after its event, "
            f"found {wrong.height} that did not, the first on {first}; "
            "validate the partitions before computing features"
        )
