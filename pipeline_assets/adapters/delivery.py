"""A foreign source, any folder of csv, jsonl or parquet files, put into the landing zone day by day."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pipeline_assets.adapters.files import is_of_one_file, look_into, read_landed
from pipeline_assets.adapters.landing import LandingZone
from pipeline_assets.contracts.vocabularies import Feed
from pipeline_assets.core.ingestion import IngestionParams
from pipeline_assets.core.ingestion.delivering import SplitFile, name_chargebacks, split_by_day
from pipeline_assets.core.ingestion.reading import FORMATS, find_format
from pipeline_assets.core.names import find_name_fault, show_name


@dataclass(frozen=True)
class Delivered:
    """What a delivery did.

    Attributes:
        files_landed: Files that are new in the landing zone.
        files_there: Files that had landed before, with the same bytes.
        rows: Rows of transactions in both.
        rows_outside: Rows of days outside the range, left in the source.
        skipped: Files of the source that are none of our formats.
        refused: What is no data (a link, a pipe, an unreadable file, a name that cannot be written), and why.
    """

    files_landed: int
    files_there: int
    rows: int
    rows_outside: int
    skipped: tuple[str, ...]
    refused: tuple[str, ...] = ()


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
        source: The folder, with its subfolders; hidden files are left out, and links are never followed.
        landing: Where to.
        params: Which source column is which of ours.
        first: First day.
        last: Last day.
        progress: Hears of each file.

    Raises:
        LandedDifferentlyError: A file of the same name and day, with other content, has landed before.
    """
    landed = there = rows = outside = 0
    skipped: list[str] = []
    paths, refused = _list_visible(source)
    for path in paths:
        name = path.replace("/", "__")
        if find_format(name) not in FORMATS:
            skipped.append(show_name(path))
            continue
        fault = find_name_fault(name_chargebacks(name))  # the longer of the two that it may land under
        content = _read(source, path, refused) if fault is None else None
        if content is None:
            refused[show_name(path)] = fault or refused[show_name(path)]
            continue
        split = split_by_day(name, content, params)
        outcomes = _land(landing, name, split, first, last)
        landed += outcomes.count(True)
        there += outcomes.count(False)
        inside = sum(count for day, count in split.rows.items() if first <= (day or first) <= last)
        rows += inside
        outside += sum(split.rows.values()) - inside
        if progress is not None and outcomes:
            progress(f"{name}: {inside} rows, {outcomes.count(True)} new files landed")
    named = tuple(f"{path}: {why}" for path, why in sorted(refused.items()))
    return Delivered(landed, there, rows, outside, tuple(skipped), named)


def _list_visible(source: Path) -> tuple[list[str], dict[str, str]]:
    """The paths of the files of a source, and by path, to be shown, why others are none."""
    listing = look_into(f"{source}", "", is_strict=True)
    others = {show_name(path): one.why for path, one in listing.others.items() if _is_visible(path)}
    for folder in listing.folders:
        if find_format(folder) in FORMATS and not any(path.startswith(f"{folder}/") for path in listing.files):
            others[show_name(folder)] = "a folder without files, expected a file"
    return [path for path in listing.files if _is_visible(path)], others


def _is_visible(path: str) -> bool:
    return not any(part.startswith((".", "_")) for part in path.split("/"))


def _read(source: Path, path: str, refused: dict[str, str]) -> bytes | None:
    """The bytes of a file; None, and why is among ``refused``, where it alone cannot be read."""
    try:
        return read_landed(f"{source}", path)
    except OSError as error:
        if not is_of_one_file(error) and not isinstance(error, FileNotFoundError):
            raise
        refused[show_name(path)] = f"cannot be read ({error.strerror})"
        return None


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
