"""What a file costs: a day of 10,000 one-row files, against reading their bytes and against one file of their rows.

CPU seconds of this process, so that other work of the machine does not count. A day is what the pipeline does with it:
list, read, judge, check the contracts, write four tables, and count every row again from the files.
"""

import io
import json
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import polars as pl

from pipeline_assets.adapters.stages.ingestion import find_lost_rows, ingest
from pipeline_assets.adapters.stores import open_stores
from pipeline_assets.contracts.tables import TRANSACTIONS
from pipeline_assets.core.ingestion import IngestionParams

DAY: Final = date(2026, 3, 10)
N_FILES: Final = 10_000
LIMIT_MS: Final = 2.0  # CPU a file
FORMATS: Final = ("csv", "jsonl", "parquet")


def main() -> None:
    """Print milliseconds a file in each format, and the ratios; fail above the limit."""
    slow = []
    with tempfile.TemporaryDirectory() as folder:
        _ingest(_land(Path(folder, "warm"), "csv", 2, 1))  # what is loaded and compiled once is no file's cost
        for kind in FORMATS:
            many = _land(Path(folder, kind), kind, N_FILES, 1)
            one = _land(Path(folder, f"one-{kind}"), kind, 1, N_FILES)
            bytes_seconds, seconds, one_seconds = _time(_read_bytes, many), _time(_ingest, many), _time(_ingest, one)
            a_file = seconds / N_FILES * 1000
            print(
                f"{kind}: {N_FILES} files of one row: {a_file:.2f} ms a file (at most {LIMIT_MS:.0f}): "
                f"{seconds / bytes_seconds:.1f} times reading the bytes alone ({bytes_seconds / N_FILES * 1000:.3f} ms "
                f"a file), {seconds / one_seconds:.0f} times one file of {N_FILES} rows ({one_seconds:.2f} s)",
                flush=True,
            )
            slow += [kind] if a_file > LIMIT_MS else []
    if slow:
        raise SystemExit(f"more than {LIMIT_MS} ms a file: {', '.join(slow)}")


def _land(root: Path, kind: str, n_files: int, n_rows: int) -> Path:
    folder = root / "landing" / "transactions" / f"{DAY}"
    folder.mkdir(parents=True)
    for number in range(n_files):
        rows = [_make_row(number * n_rows + row) for row in range(n_rows)]
        (folder / f"{number:05}.{kind}").write_bytes(_render(rows, kind))
    return root


def _make_row(number: int) -> dict[str, object]:
    moment = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC) + timedelta(seconds=number)
    return {
        "transaction_id": f"t{number:06}",
        "event_time": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "customer_id": f"c{number % 97}",
        "terminal_id": f"m{number % 31}",
        "amount_cents": 100 + number,
    }


def _render(rows: list[dict[str, object]], kind: str) -> bytes:
    if kind == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    frame = pl.DataFrame(rows)
    if kind == "csv":
        return frame.write_csv().encode()
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def _time(work: Callable[[Path], None], root: Path) -> float:
    start = time.process_time()
    work(root)
    return time.process_time() - start


def _read_bytes(root: Path) -> None:
    for path in sorted((root / "landing" / "transactions" / f"{DAY}").iterdir()):
        path.read_bytes()


def _ingest(root: Path) -> None:
    stores = open_stores(str(root))
    for _ in ingest(stores, IngestionParams(), [DAY]):
        pass
    finding = find_lost_rows(stores, DAY)
    if not finding.passed or stores.lake.read(TRANSACTIONS, [DAY]).is_empty():
        raise SystemExit(finding.explanation)


if __name__ == "__main__":
    main()
