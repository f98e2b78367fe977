"""The watch over the bytes of everything that is recorded."""

from collections.abc import Iterator, Sequence
from datetime import date

import polars as pl

from pipeline_assets.adapters.integrity import LogDamage, Mended, find_damage, find_log_damage, mend, replicate
from pipeline_assets.adapters.log_heads import RELEASE_LOG
from pipeline_assets.adapters.replica import Replica
from pipeline_assets.adapters.stages.made import Made, describe
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.contracts.tables import INTEGRITY
from pipeline_assets.contracts.vocabularies import Mending
from pipeline_assets.core.checks import Finding, Level
from pipeline_assets.core.integrity import IntegrityParams, choose_records


def watch_bytes(
    stores: Stores, params: IntegrityParams, replicas: Sequence[Replica], days: Sequence[date], *, is_full: bool
) -> Iterator[Made]:
    """Read the bytes whose turn it is on ``days``, restore what is damaged, copy what has no copy; a report a day.

    The end of the release log, which no record of a partition has to name, is read each time.

    Over a range each partition is read once: what was found stands in the report of the last day.
    """
    records = list(stores.records.load_all().values())
    chosen = {record.key: record for day in days for record in choose_records(records, day, params)}
    wanted = records if is_full else list(chosen.values())
    mended = mend(stores, find_damage(stores, wanted), replicas)
    n_copies = replicate(stores, wanted, replicas)
    frames = {day: INTEGRITY.empty() for day in days} | {
        days[-1]: _make_report(mended, find_log_damage(stores, replicas), days[-1])
    }
    facts = {"partitions_read": len(wanted), "files_damaged": len(mended), "copies_made": n_copies}
    for day, written in stores.reports.write_days(INTEGRITY, frames):
        yield describe("reports", INTEGRITY, day, written, frames[day], **(facts if day == days[-1] else {}))


def _make_report(mended: Sequence[Mended], log: LogDamage | None, day: date) -> pl.DataFrame:
    rows = [
        (
            one.damage.key.asset,
            one.damage.key.day,
            one.damage.path,
            one.damage.expected,
            one.damage.found,
            str(Mending.RESTORED if one.replica else Mending.TO_BE_MADE_AGAIN),
        )
        for one in mended
    ]
    if log is not None:
        rows.append((RELEASE_LOG, day, f"{RELEASE_LOG}/entries", log.expected, log.found, str(Mending.FOR_A_PERSON)))
    return pl.DataFrame(rows, INTEGRITY.empty().schema, orient="row")


def find_lost_bytes(stores: Stores, day: date) -> Finding:
    """Whether what was read on ``day`` was as recorded; a warning where a replica had all that was not."""
    table = stores.reports.read(INTEGRITY, [day])
    log = table.filter(outcome=str(Mending.FOR_A_PERSON))
    files = table.filter(pl.col("outcome") != str(Mending.FOR_A_PERSON))
    n_lost = files.filter(outcome=str(Mending.TO_BE_MADE_AGAIN)).height
    problem = "".join(
        f"the release log is not as it was written: expected {expected}, found {found}; nothing is decided from it "
        "until it is restored: pipeline-assets release log; "
        for expected, found in log.select("expected", "found").iter_rows()
    )
    return Finding(
        passed=table.is_empty(),
        level=Level.ERROR if n_lost or log.height else Level.WARN,
        explanation=f"{problem}{files.height} files were not as recorded: {files.height - n_lost} restored from a "
        f"replica, {n_lost} to be made again"
        + ("; look at the disk: bytes do not change by themselves" if files.height else ""),
        facts={"files_damaged": files.height, "files_lost": n_lost, "log_is_intact": log.is_empty()},
    )
