"""The two feature tables, computed in one pass over the trailing window."""

from collections.abc import Collection, Iterator, Sequence
from datetime import date, timedelta
from typing import Final

from pipeline_assets.adapters.lake import PartitionMissingError
from pipeline_assets.adapters.stages.made import Made, chunk_days, compare_ids, describe, read_arrivals
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.contracts.features import HISTORY_DAYS, MAX_LATENESS_DAYS
from pipeline_assets.contracts.tables import (
    CHARGEBACKS,
    CUSTOMER_FEATURES_TABLE,
    TERMINAL_FEATURES_TABLE,
    TRANSACTIONS,
    Table,
)
from pipeline_assets.core.checks import Finding

FEATURE_TABLES: Final = (CUSTOMER_FEATURES_TABLE, TERMINAL_FEATURES_TABLE)
_WINDOW_DAYS: Final = HISTORY_DAYS + MAX_LATENESS_DAYS  # days before a day whose rows its features can see


def build_features(stores: Stores, days: Sequence[date], tables: Collection[Table] = FEATURE_TABLES) -> Iterator[Made]:
    """Make the feature tables of ``days``, which are in order; memory follows the trailing window, not the range.

    Raises:
        PartitionMissingError: The transactions of one of the days are not in the lake.
    """
    from pipeline_assets.core.features import compute_features

    for chunk in chunk_days(days, _WINDOW_DAYS + 1):
        first, last = chunk[0], chunk[-1]
        for day in chunk:
            if not stores.lake.has(TRANSACTIONS, day):
                raise PartitionMissingError(f"features of {day}: transactions of {day} are not there; ingest it first")
        start = first - timedelta(days=_WINDOW_DAYS)
        computed = compute_features(
            read_arrivals(stores.lake, TRANSACTIONS, start, last),
            read_arrivals(stores.lake, CHARGEBACKS, start, last),
            first,
            last,
        )
        for table, frame in zip(FEATURE_TABLES, (computed.customer, computed.terminal), strict=True):
            if table in tables:
                parts = frame.partition_by("arrival_date", as_dict=True, include_key=False)
                frames = {day: parts.get((day,), table.empty()) for day in chunk}
                for day, written in stores.lake.write_days(table, frames).items():
                    yield describe("lake", table, day, written, frames[day])


def find_payments_without_features(stores: Stores, table: Table, day: date) -> Finding:
    """Whether the features of ``day`` describe exactly the payments that arrived on it."""
    payments = stores.lake.read(TRANSACTIONS, [day], ["transaction_id"])
    described = stores.lake.read(table, [day], ["transaction_id"])
    return compare_ids(payments, described, f"payments without {table.name}", f"{table.name} without a payment")
