"""The two feature tables, computed in one pass over the trailing window."""

from collections.abc import Collection, Iterator, Sequence
from datetime import date, timedelta
from typing import Final

from pipeline_assets.adapters.stages.made import Made, chunk_days, compare_ids, describe
from pipeline_assets.adapters.stages.view import View
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.contracts.tables import (
    CHARGEBACKS,
    CUSTOMER_FEATURES_TABLE,
    TERMINAL_FEATURES_TABLE,
    TRANSACTIONS,
    Table,
)
from pipeline_assets.core.checks import Finding
from pipeline_assets.core.lineage.recipes import FEATURE_WINDOW_DAYS, describe_features

FEATURE_TABLES: Final = (CUSTOMER_FEATURES_TABLE, TERMINAL_FEATURES_TABLE)


def build_features(stores: Stores, days: Sequence[date], tables: Collection[Table] = FEATURE_TABLES) -> Iterator[Made]:
    """Make the feature tables of ``days``, which are in order; memory follows the trailing window, not the range.

    A day of the window that is held or absent is gone without; the record of the partition says so.

    Raises:
        PartitionMissingError: The transactions of one of the days are not in the lake.
        PartitionHeldError: They failed a blocking check.
    """
    from pipeline_assets.core.features import compute_features

    recipes = describe_features()
    for chunk in chunk_days(days, FEATURE_WINDOW_DAYS + 1):
        view, first, last = View(stores), chunk[0], chunk[-1]
        for day in chunk:
            view.require(TRANSACTIONS.name, day, wanted_by="features")
        start = first - timedelta(days=FEATURE_WINDOW_DAYS)
        computed = compute_features(
            view.read_window(TRANSACTIONS, start, last), view.read_window(CHARGEBACKS, start, last), first, last
        )
        for table, frame in zip(FEATURE_TABLES, (computed.customer, computed.terminal), strict=True):
            if table in tables:
                parts = frame.partition_by("arrival_date", as_dict=True, include_key=False)
                frames = {day: parts.get((day,), table.empty()) for day in chunk}
                for day, written in stores.lake.write_days(table, frames):
                    view.record(recipes[table.name], day, {f"lake/{written.path}": written.md5})
                    yield describe("lake", table, day, written, frames[day])


def find_payments_without_features(stores: Stores, table: Table, day: date) -> Finding:
    """Whether the features of ``day`` describe exactly the payments that arrived on it."""
    payments = stores.lake.read(TRANSACTIONS, [day], ["transaction_id"])
    described = stores.lake.read(table, [day], ["transaction_id"])
    return compare_ids(payments, described, f"payments without {table.name}", f"{table.name} without a payment")
