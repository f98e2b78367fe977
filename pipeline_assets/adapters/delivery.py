"""A foreign source, any folder of csv, jsonl or parquet files, put into the landing zone day by day."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pipeline_assets.adapters.landing import LandingZone
from pipeline_assets.contracts.vocabularies import Feed
from pipeline_assets.core.ingestion import IngestionParams
from pipeline_assets.core.ingestion.delivering import SplitFile, name_chargebacks, split_by_day
from pipeline_assets.core.ingestion.reading import FORMATS, find_format


@dataclass(frozen=True)
class Delivered:
    """What a delivery did.

    Attributes:
        files_landed: Files that are new in the landing zone.
        files_there: Files that had landed before, with the same bytes.
        rows: Rows of transactions in both.
        rows_outside: Rows of days outside the range, left in the source.
        skipped: Files of the source that are none of our formats.
    """

    files_landed: int
    files_there: int
    rows: int
    rows_outside: int
    skipped: tuple[str, ...]


def deliver(
    source: Path,
    landing: LandingZone,
    params: IngestionParams,
    first: date,
    last: date,
    progress: Callable[[str], None] | None = None,
) -> Delivered:
    """Land what ``source`` holds for the days from ``first`` to ``last``, both inclusive; again changes nothing.

    A row lands on the UTC day of its ``event_time``; a file of one day is copied byte for byte, another is split. The
    frauds that ``params.labels`` names land as chargebacks on the day of their report, as far as that is in the range:
    later ones are not known yet. A file of which no row says its day lands on ``first``, to be quarantined there.

    Args:
        source: The folder, with its subfolders; hidden files are left out.
        landing: Where to.
        params: Which source column is which of ours.
        first: First day.
        last: Last day.
        progress: Hears of each file.

    Raises:
        LandedDifferentlyError: A file of the same name and day, with other content, has landed before.
    """
    landed = there = rows = outside = 0
    skipped = []
    for path in _list_visible(source):
        name = "__".join(path.relative_to(source).parts)
        if find_format(name) not in FORMATS:
            skipped.append(str(path.relative_to(source)))
            continue
        split = split_by_day(name, path.read_bytes(), params)
        outcomes = _land(landing, name, split, first, last)
        landed += outcomes.count(True)
        there += outcomes.count(False)
        inside = sum(count for day, count in split.rows.items() if first <= (day or first) <= last)
        rows += inside
        outside += sum(split.rows.values()) - inside
        if progress is not None and outcomes:
            progress(f"{name}: {inside} rows, {outcomes.count(True)} new files landed")
    return Delivered(landed, there, rows, outside, tuple(skipped))


def _list_visible(source: Path) -> list[Path]:
    files = (path for path in source.rglob("*") if path.is_file())
    return sorted(path for path in files if not any(p.startswith((".", "_")) for p in path.relative_to(source).parts))


def _land(landing: LandingZone, name: str, split: SplitFile, first: date, last: date) -> list[bool]:
    outcomes = [
        landing.land(Feed.TRANSACTIONS, day or first, name, content)
        for day, content in split.parts.items()
        if first <= (day or first) <= last
    ]
    outcomes += [
        landing.land(Feed.CHARGEBACKS, day, name_chargebacks(name), content)
        for day, content in split.chargebacks.items()
        if first <= day <= last
    ]
    return outcomes
