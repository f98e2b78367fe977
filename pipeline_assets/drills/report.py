"""What drills found, for a terminal, for the README (Markdown), for programs (JSON) and for a browser (``page.py``)."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pipeline_assets.adapters.exports import write_file
from pipeline_assets.drills.drill import Result, format_seconds
from pipeline_assets.drills.page import make_page

_HEADS: Final = ("drill", "what was broken", "passed", "faults", "detect", "recover", "lost", "doubled", "equal bytes")


def write_report(results: Sequence[Result], folder: Path) -> Path:
    """Write ``report.html``, ``report.json`` and ``report.md`` to ``folder``; the path of the page."""
    folder.mkdir(parents=True, exist_ok=True)
    content = json.dumps([_describe(result) for result in results], indent=1, ensure_ascii=False)
    write_file(folder / "report.json", content + "\n")
    write_file(folder / "report.md", make_markdown(results))
    page = folder / "report.html"
    write_file(page, make_page(results))
    return page


def make_table(results: Sequence[Result]) -> str:
    """A table for a terminal, one line a drill; times are medians."""
    rows = [_HEADS, *(_cells(result) for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def make_markdown(results: Sequence[Result]) -> str:
    """The same table as Markdown."""
    rows = [_HEADS, ["---"] * len(_HEADS), *(_cells(result) for result in results)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cells(result: Result) -> list[str]:
    return [
        result.name,
        result.breaks,
        "yes" if result.passed else "NO",
        f"{result.n_broken}",
        format_seconds(result.median_detect_seconds),
        format_seconds(result.median_recover_seconds),
        f"{result.rows_lost}",
        f"{result.rows_doubled}",
        f"{result.files_equal} of {result.files_compared}",
    ]


def _describe(result: Result) -> dict[str, Any]:
    return {
        **dataclasses.asdict(result),
        "passed": result.passed,
        "n_broken": result.n_broken,
        "median_detect_seconds": result.median_detect_seconds,
        "median_recover_seconds": result.median_recover_seconds,
    }
