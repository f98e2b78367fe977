"""Quarantined rows out of the lake, into a file that a person corrects, and back into the landing zone."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pipeline_assets.adapters.exports import write_file
from pipeline_assets.adapters.lake import Lake
from pipeline_assets.adapters.landing import LandingZone
from pipeline_assets.contracts.tables import QUARANTINE
from pipeline_assets.contracts.vocabularies import Feed, Reason
from pipeline_assets.core.ingestion import IngestionParams, LandedFile
from pipeline_assets.core.ingestion.correction import plan_replay, prepare_correction
from pipeline_assets.core.spreadsheet import render_csv


@dataclass(frozen=True)
class Replayed:
    """One file that a replay put into the landing zone: the partition ``day`` has to be materialized again.

    ``is_new`` is False where the same rows were replayed before.
    """

    day: date
    name: str
    is_new: bool


def export_quarantine(
    lake: Lake,
    target: Path,
    feed: Feed,
    days: Iterable[date],
    params: IngestionParams,
    reasons: Collection[Reason] = (),
) -> int:
    """Write the quarantined rows of a feed to ``target`` (csv or jsonl, by its extension) and return their number.

    The file is written wholly or not at all. In csv, what a spreadsheet could take for a formula is marked by an
    apostrophe, which :func:`replay` takes away again: see :mod:`pipeline_assets.core.spreadsheet`.
    See :func:`pipeline_assets.core.ingestion.correction.prepare_correction` for the columns.

    Raises:
        ValueError: The extension is neither, or the file is there already: it may hold somebody's corrections.
        PartitionMissingError: One of the days has not been ingested.
    """
    if target.suffix not in {".csv", ".jsonl"}:
        raise ValueError(f"{target}: expected a name that ends in .csv or .jsonl")
    rows = prepare_correction(lake.read(QUARANTINE, days, with_date=True), feed, params, reasons)
    try:
        write_file(target, render_csv(rows) if target.suffix == ".csv" else rows.write_ndjson(), may_replace=False)
    except FileExistsError as error:
        raise ValueError(f"{target}: is there already and may hold corrections; name another file") from error
    return rows.height


def replay(
    source: Path, landing: LandingZone, feed: Feed, params: IngestionParams, day: date | None = None
) -> list[Replayed]:
    """Land the rows of a corrected file: ingesting the days that are returned keeps them. Again changes nothing.

    See :func:`pipeline_assets.core.ingestion.correction.plan_replay` for which day a row lands on.

    Raises:
        ReplayError: A row would be quarantined again; nothing was landed.
        FileNotFoundError: There is no such file.
    """
    planned = plan_replay(LandedFile(source.name, source.read_bytes()), feed, params, day)
    return [
        Replayed(target, file.name, landing.land(feed, target, file.name, file.content))
        for target, file in sorted(planned.items())
    ]
