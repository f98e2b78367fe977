"""The proof that no landed row is lost, by a count of its own, and the judgement of how many rows were malformed."""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from pipeline_assets.contracts.vocabularies import Feed, FileStatus
from pipeline_assets.core.checks import Finding, Level
from pipeline_assets.core.ingestion.intake import LandedFile
from pipeline_assets.core.ingestion.mapping import IngestionParams

_SHOWN: Final = 5  # problems in an explanation: enough to see the pattern
_LONGEST_FIELD: Final = 2**31 - 1
_COUNTS: Final = ("rows_landed", "rows_kept", "rows_quarantined", "rows_duplicate")


@dataclass(frozen=True)
class Recount:
    """A landed file, counted again from its bytes: its hash, and its data rows (None where it holds no rows)."""

    feed: Feed
    name: str
    md5: str
    n_rows: int | None


def recount_file(feed: Feed, file: LandedFile) -> Recount:
    """Count the data rows of a landed file without parsing them.

    Another way than ingestion's on purpose: the parquet footer, Python's csv records, the lines that are not blank.
    """
    md5 = hashlib.md5(file.content, usedforsecurity=False).hexdigest()
    return Recount(feed, file.name, md5, _count_rows(file))


def _count_rows(file: LandedFile) -> int | None:
    text = file.content.removeprefix(b"\xef\xbb\xbf")
    kind = file.name.lower().rpartition(".")[2]
    if not text.strip() or (kind != "parquet" and text.startswith(b"PAR1")):
        return None
    match kind:
        case "parquet":
            try:
                return int(pl.scan_parquet(io.BytesIO(file.content)).select(pl.len()).collect().item())
            except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
                return None
        case "csv":
            csv.field_size_limit(_LONGEST_FIELD)
            # Latin-1 reads any bytes, and commas, quotes and line ends as they are.
            records = csv.reader(io.StringIO(text.decode("latin-1"), newline=""))
            return sum(1 for record in records if record) - 1
        case "jsonl":
            return sum(1 for line in text.split(b"\n") if line.strip())
    return None


def check_rows_are_conserved(
    recounts: Sequence[Recount], kept: Mapping[Feed, pl.DataFrame], quarantine: pl.DataFrame, ledger: pl.DataFrame
) -> Finding:
    """Whether every landed row is in its table, in quarantine, or a counted duplicate.

    The ledger is held against three things it was not made from: the files counted again, the rows that the tables
    really hold, and the entries that quarantine really holds. A file that landed after ingestion is a warning: it is
    not lost, its partition has to be materialized again.

    Args:
        recounts: Every file of the day as it lies in the landing zone now.
        kept: By feed, the day's partition of its table, read back from the lake.
        quarantine: The day's partition, read back.
        ledger: The day's partition, read back.
    """
    entries = {(row["feed"], row["source_file"]): row for row in ledger.iter_rows(named=True)}
    landed = {(one.feed.value, one.name): one for one in recounts}
    held = _count_quarantine(quarantine)
    newcomers = sorted(landed.keys() - entries.keys())
    problems = [f"{_name(key)}: in the ledger, but no longer landed" for key in sorted(entries.keys() - landed.keys())]
    problems += [f"{_name(key)}: in quarantine, but not in the ledger" for key in sorted(held.keys() - entries.keys())]
    for key in sorted(entries.keys() & landed.keys()):
        found = _audit_file(entries[key], landed[key], *held.get(key, (0, 0)))
        problems += [f"{_name(key)}: {problem}" for problem in found]
    problems += _audit_repeats(ledger)
    for feed, frame in kept.items():
        counted = int(ledger.filter(feed=feed.value)["rows_kept"].sum())
        if counted != frame.height:
            problems.append(
                f"{feed.value}: expected {counted} rows as in the ledger, found {frame.height} in the table"
            )
    facts = {name: int(ledger[name].sum()) for name in _COUNTS}
    facts |= {"files": ledger.height, "files_not_ingested": len(newcomers), "problems": len(problems)}
    return _conclude(problems, [_name(key) for key in newcomers], facts)


def _name(key: tuple[str, str]) -> str:
    return f"{key[0]}/{key[1]}"


def _count_quarantine(quarantine: pl.DataFrame) -> dict[tuple[str, str], tuple[int, int]]:
    """By file: how many different rows, and how many entries for the file as a whole, are in quarantine."""
    counts = quarantine.group_by("feed", "source_file").agg(
        rows=pl.col("row_number").drop_nulls().n_unique(), whole=pl.col("row_number").is_null().sum()
    )
    return {(feed, name): (rows, whole) for feed, name, rows, whole in counts.iter_rows()}


def _audit_file(entry: Mapping[str, object], recount: Recount, n_rows: int, n_whole: int) -> list[str]:
    landed, kept, quarantined, duplicate = (int(str(entry[name])) for name in _COUNTS)
    is_refused = entry["status"] == FileStatus.REFUSED
    expected_rows, expected_whole = (0, 1) if is_refused else (quarantined, 0)
    problems = []
    if entry["md5"] != recount.md5:
        problems.append(f"expected md5 {entry['md5']} as ingested, found {recount.md5}: the file was changed")
    if landed != (recount.n_rows or 0):
        problems.append(f"expected {recount.n_rows or 0} rows as counted in the file, found {landed} in the ledger")
    if landed != kept + quarantined + duplicate:
        problems.append(
            f"expected {landed} rows, found {kept} kept + {quarantined} quarantined + {duplicate} duplicate"
        )
    if (n_rows, n_whole) != (expected_rows, expected_whole):
        problems.append(
            f"expected {expected_rows} rows and {expected_whole} entries for the whole file in quarantine, "
            f"found {n_rows} and {n_whole}"
        )
    if recount.n_rows is None and not is_refused and entry["status"] != FileStatus.REPEATED:
        problems.append("expected to be refused, because it cannot be read as rows; it was not")
    return problems


def _audit_repeats(ledger: pl.DataFrame) -> list[str]:
    """A file may be a repeat as a whole only of a file that was not."""
    is_repeated = pl.col("status") == FileStatus.REPEATED.value
    originals = set(ledger.filter(~is_repeated).select("feed", "md5").iter_rows())
    repeated = ledger.filter(is_repeated)
    return [
        f"{feed}/{name}: counted as a repeat, but no other file has its bytes"
        for feed, name, md5 in repeated.select("feed", "source_file", "md5").iter_rows()
        if (feed, md5) not in originals
    ]


def _conclude(problems: list[str], newcomers: list[str], facts: dict[str, int]) -> Finding:
    if problems:
        more = f" (and {len(problems) - _SHOWN} more)" if len(problems) > _SHOWN else ""
        explanation = (
            f"rows are not conserved: {'; '.join(problems[:_SHOWN])}{more}; materialize the day's ingestion again"
        )
        return Finding(passed=False, level=Level.ERROR, explanation=explanation, facts=facts)
    if newcomers:
        explanation = f"landed after ingestion: {', '.join(newcomers[:_SHOWN])}; materialize the day's ingestion again"
        return Finding(passed=False, level=Level.WARN, explanation=explanation, facts=facts)
    explanation = (
        f"{facts['rows_landed']} landed = {facts['rows_kept']} kept + {facts['rows_quarantined']} quarantined "
        f"+ {facts['rows_duplicate']} duplicate, recounted from {facts['files']} files"
    )
    return Finding(passed=True, level=Level.ERROR, explanation=explanation, facts=facts)


def check_quarantine_share(ledger: pl.DataFrame, params: IngestionParams) -> Finding:
    """Whether no row was malformed; a warning up to ``max_quarantine_share`` of the landed rows, an error above it.

    A refused file whose rows could not be counted counts as one row: alone it is an error, among many good rows a
    warning.
    """
    refused = ledger.filter(status=FileStatus.REFUSED.value)
    uncounted = refused.filter(rows_landed=0).height
    landed = int(ledger["rows_landed"].sum()) + uncounted
    quarantined = int(ledger["rows_quarantined"].sum()) + uncounted
    share = quarantined / landed if landed else 0.0
    is_high = share > params.max_quarantine_share
    limit = f"{params.max_quarantine_share:.2%}"
    explanation = f"{quarantined} of {landed} landed rows are in quarantine ({share:.2%}, limit {limit})"
    if refused.height:
        explanation += f"; {refused.height} of {ledger.height} files were refused"
    if is_high:
        explanation += "; the partition is held: correct the source and land the file again, or correct and replay rows"
    facts = {"rows_landed": landed, "rows_quarantined": quarantined, "quarantine_share": share}
    return Finding(
        passed=quarantined == 0,
        level=Level.ERROR if is_high else Level.WARN,
        explanation=explanation,
        facts={**facts, "files_refused": refused.height},
    )
