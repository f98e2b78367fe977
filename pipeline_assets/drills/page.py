"""The report as one self-contained HTML page: no script, nothing from the network, readable in light and dark."""

import statistics
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from pipeline_assets.drills.drill import Result, format_seconds

_WIDTH: Final = 900  # of a figure, in its own units; it scales with the page
_EDGE: Final = 12  # left and right of a figure
_STYLE: Final = """
:root { color-scheme: light dark; --good: #1a7f37; --bad: #cf222e; --quiet: #8888; --mark: #0969da; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--quiet); vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
section { margin-top: 3rem; }
.good { color: var(--good); font-weight: 600; } .bad { color: var(--bad); font-weight: 600; }
figure { margin: 1rem 0; } figcaption, .quiet { opacity: .7; font-size: .9em; }
svg { width: 100%; height: auto; } svg line { stroke: var(--quiet); } svg text { fill: currentColor; font-size: 12px; }
svg circle { fill: var(--mark); } svg circle.sample { fill-opacity: .35; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border-left: 3px solid var(--bad); padding-left: .8rem; }
ol.events { columns: 1; padding-left: 1.5rem; }
"""
_HEADS: Final = ("Drill", "What was broken", "Passed", "Faults", "Detect", "Recover", "Lost", "Doubled", "Equal bytes")


def make_page(results: Sequence[Result]) -> str:
    """The page: a table of all drills, then each with its timeline, its times, its counts and its problems."""
    n_passed = sum(result.passed for result in results)
    kind = "good" if n_passed == len(results) else "bad"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Drills</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>Drills</h1>"
        f'<p><span class="{kind}">{n_passed} of {len(results)} passed.</span> Each broke something for real, let the '
        "pipeline recover and compared the result with a world that was never broken. Times are medians.</p>"
        f"{_make_summary(results)}{''.join(_make_section(result) for result in results)}</body></html>\n"
    )


def _make_summary(results: Sequence[Result]) -> str:
    heads = "".join(f"<th>{head}</th>" for head in _HEADS)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(map(_make_row, results))}</tbody></table>"


def _make_row(result: Result) -> str:
    numbers = (
        f"{result.n_broken}",
        format_seconds(result.median_detect_seconds),
        format_seconds(result.median_recover_seconds),
        f"{result.rows_lost}",
        f"{result.rows_doubled}",
        f"{result.files_equal} of {result.files_compared}",
    )
    cells = "".join(f'<td class="number">{number}</td>' for number in numbers)
    name = escape(result.name)
    return (
        f'<tr><td><a href="#{name}">{name}</a></td><td>{escape(result.breaks)}</td><td>{_make_verdict(result)}</td>'
        f"{cells}</tr>"
    )


def _make_verdict(result: Result) -> str:
    return '<span class="good">yes</span>' if result.passed else '<span class="bad">NO</span>'


def _make_section(result: Result) -> str:
    name = escape(result.name)
    problems = "".join(f"<pre>{escape(problem)}</pre>" for problem in result.problems)
    return (
        f'<section id="{name}"><h2>{name}: {"passed" if result.passed else "FAILED"}</h2>'
        f"<p>{escape(result.breaks)}; {format_seconds(result.seconds)} in all.</p>{problems}"
        f"{_make_timeline(result)}"
        f"{_make_strip('Time to detect', result.detect_seconds)}"
        f"{_make_strip('Time to recover', result.recover_seconds)}"
        f"{_make_counts('Faults', result.broken)}{_make_counts('Counted', result.counts)}</section>"
    )


def _make_timeline(result: Result) -> str:
    """Dots on a line from the drill's beginning to its end, and below it what they stand for."""
    if not result.timeline:
        return ""
    length = max(result.seconds, *(at for at, _ in result.timeline)) or 1.0
    dots = "".join(
        f'<circle cx="{_place(at, length)}" cy="14" r="6"><title>{escape(event)}</title></circle>'
        for at, event in result.timeline
    )
    events = "".join(
        f'<li><span class="quiet">{format_seconds(at)}</span> {escape(event)}</li>' for at, event in result.timeline
    )
    return f"<figure>{_make_axis('timeline', length, dots)}</figure><ol class='events'>{events}</ol>"


def _make_strip(title: str, seconds: Sequence[float]) -> str:
    """Every single time as a dot on a line from zero to the longest one."""
    if not seconds:
        return ""
    ordered = sorted(seconds)
    length = ordered[-1] or 1.0
    dots = "".join(f'<circle class="sample" cx="{_place(one, length)}" cy="14" r="5"/>' for one in ordered)
    caption = (
        f"{title}: median {format_seconds(statistics.median(ordered))}, from {format_seconds(ordered[0])} to "
        f"{format_seconds(ordered[-1])}, {len(ordered)} times"
    )
    return f"<figure>{_make_axis(title, length, dots)}<figcaption>{caption}</figcaption></figure>"


def _make_axis(label: str, length: float, dots: str) -> str:
    right = _WIDTH - _EDGE
    return (
        f'<svg viewBox="0 0 {_WIDTH} 40" role="img" aria-label="{escape(label)}">'
        f'<line x1="{_EDGE}" y1="14" x2="{right}" y2="14"/>{dots}<text x="{_EDGE}" y="36">0</text>'
        f'<text x="{right}" y="36" text-anchor="end">{format_seconds(length)}</text></svg>'
    )


def _place(seconds: float, length: float) -> str:
    return f"{_EDGE + (_WIDTH - 2 * _EDGE) * seconds / length:.1f}"


def _make_counts(title: str, counts: Mapping[str, int]) -> str:
    if not counts:
        return ""
    rows = "".join(
        f'<tr><td>{escape(what)}</td><td class="number">{number}</td></tr>' for what, number in counts.items()
    )
    return f"<h3>{title}</h3><table>{rows}</table>"
