"""What a rehearsal showed, for a terminal, for programs (JSON) and for a browser: one page that needs no network."""

import base64
import dataclasses
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from pipeline_assets.adapters.exports import write_file
from pipeline_assets.contracts.tables import MODEL_HEALTH
from pipeline_assets.core.costs import tell_money
from pipeline_assets.core.release.evidence import read_health
from pipeline_assets.core.release.plot import plot_release
from pipeline_assets.drills.rehearsal.accounts import Recovery
from pipeline_assets.drills.rehearsal.outcome import Event, Outcome
from pipeline_assets.drills.rehearsal.plot import plot_arms
from pipeline_assets.drills.rehearsal.scenario import START
from pipeline_assets.drills.rehearsal.verdict import Expectation

_HEADS: Final = ("event", "began", "days to detect", "customers", "without", "money lost", "without", "answer")
_STYLE: Final = """
:root { color-scheme: light dark; --good: #1a7f37; --bad: #cf222e; --quiet: #8888; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 66rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--quiet); vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.good { color: var(--good); font-weight: 600; } .bad { color: var(--bad); font-weight: 600; }
figure { margin: 1.5rem 0; } img { width: 100%; height: auto; background: white; } figcaption { opacity: .7; }
ol { padding-left: 1.5rem; overflow-wrap: anywhere; }
"""


def make_table(outcome: Outcome) -> str:
    """A line an event, with what it did in both arms, and the totals, for a terminal."""
    rows = [_HEADS, *(_list_cells(event) for event in outcome.events)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:], *tell_totals(outcome)])


def tell_totals(outcome: Outcome) -> list[str]:
    """What all decisions cost in both arms, how average precision recovered from the new pattern, and who was tried."""
    costs = {arm: int(frame["cost_cents"].sum()) for arm, frame in outcome.weeks.items()}
    told = [f"{arm}: all decisions from the first model on cost {tell_money(cost)}" for arm, cost in costs.items()]
    told += [f"{arm}: after the new pattern, {_tell_recovery(one)}" for arm, one in outcome.recovery.items()]
    tried = {part for entry in outcome.lived.entries for part in (entry.champion, entry.shadow)}
    n_refused = sum(birth.version not in tried for birth in outcome.lived.births)
    return [*told, f"{len(outcome.lived.births)} models were trained; {n_refused} of them never had a trial"]


def write_report(outcome: Outcome, expectations: Sequence[Expectation], folder: Path) -> Path:
    """Write ``report.html``, ``report.json`` and the pictures to ``folder``; the path of the page."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = _draw(outcome)
    for name, content in pictures.items():
        write_file(folder / f"{name}.png", content)
    described = json.dumps(_describe(outcome, expectations), indent=1, ensure_ascii=False, default=str)
    write_file(folder / "report.json", described + "\n")
    page = folder / "report.html"
    write_file(page, _make_page(outcome, expectations, pictures))
    return page


def _draw(outcome: Outcome) -> dict[str, bytes]:
    scenario, lived = outcome.scenario, outcome.lived
    days = scenario.days
    health = read_health({day: lived.stores.lake.read(MODEL_HEALTH, [day]) for day in days})
    events = [(event.began, event.act.name) for event in outcome.events if event.began is not None]
    return {
        "release": plot_release(lived.entries, health, days[0], days[-1]),
        "arms": plot_arms(outcome.weeks, events),
    }


def _list_cells(event: Event) -> tuple[str, ...]:
    is_harmful = event.act.wrong is not None or event.scene is None  # of a sound challenger there is nothing to count
    days = event.n_days_to_detect if is_harmful else None
    tolls = (event.protected, event.unprotected)
    return (
        event.act.name,
        f"{event.began or '-'}",
        f"{days}" if days is not None else "-",
        *(f"{toll.n_customers}" if is_harmful else "-" for toll in tolls),
        *(tell_money(toll.lost_cents) if is_harmful else "-" for toll in tolls),
        _tell_answer(event),
    )


def _tell_answer(event: Event) -> str:
    answer = f"{event.answer} on {event.answered}" if event.answered else event.answer
    return f"{answer}; {event.aftermath}" if event.aftermath else answer


def _tell_recovery(recovery: Recovery) -> str:
    fell = f"average precision fell from {recovery.usual:.3f} to {recovery.least:.3f}"
    return f"{fell} and was " + (f"back after {recovery.n_days} days" if recovery.n_days is not None else "never back")


def _describe(outcome: Outcome, expectations: Sequence[Expectation]) -> dict[str, Any]:
    scenario = outcome.scenario
    return {
        "from": START,
        "to": scenario.last_day,
        "n_customers": scenario.params.simulation.n_customers,
        "seed": scenario.params.simulation.seed,
        "left_out": [act.name for act in scenario.left_out],
        "passed": all(one.is_met for one in expectations),
        "expectations": [dataclasses.asdict(one) for one in expectations],
        "events": [_describe_event(event) for event in outcome.events],
        "recovery": {arm: dataclasses.asdict(one) for arm, one in outcome.recovery.items()},
        "weeks": {arm: frame.to_dicts() for arm, frame in outcome.weeks.items()},
        "models": [dataclasses.asdict(birth) for birth in outcome.lived.births],
        "story": list(outcome.story),
    }


def _describe_event(event: Event) -> dict[str, Any]:
    return {
        "name": event.act.name,
        "title": event.act.title,
        "model": event.version,
        "began": event.began,
        "answered": event.answered,
        "answer": event.answer,
        "aftermath": event.aftermath,
        "n_days_to_detect": event.n_days_to_detect,
        "protected": dataclasses.asdict(event.protected),
        "unprotected": dataclasses.asdict(event.unprotected),
    }


def _make_page(outcome: Outcome, expectations: Sequence[Expectation], pictures: dict[str, bytes]) -> str:
    scenario = outcome.scenario
    n_met = sum(one.is_met for one in expectations)
    kind = "good" if n_met == len(expectations) else "bad"
    simulation = scenario.params.simulation
    totals = "".join(f"<p>{escape(line)}</p>" for line in tell_totals(outcome))
    story = "".join(f"<li>{escape(line)}</li>" for line in outcome.story)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Rehearsal</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>Rehearsal</h1>"
        f'<p><span class="{kind}">{n_met} of {len(expectations)} expectations came true.</span> '
        f"{simulation.n_customers} customers, {START} to {scenario.last_day}, seed {simulation.seed}; beside it the "
        "same world, models and faults where each new model decides for everybody at once and nothing is watched. "
        "Money lost is what decisions cost more than those of the same model without the fault.</p>"
        f"{_make_events(outcome)}{totals}{_make_expectations(expectations)}"
        f"{_make_figure(pictures['arms'], 'Average precision and cost of each week; lines: what went wrong')}"
        f"{_make_figure(pictures['release'], 'Who decided for whom, and average precision of each model')}"
        f"<h2>What happened</h2><ol>{story}</ol></body></html>\n"
    )


def _make_events(outcome: Outcome) -> str:
    heads = "".join(f"<th>{head}</th>" for head in _HEADS)
    rows = ""
    for event in outcome.events:
        name, began, *numbers, answer = (escape(cell) for cell in _list_cells(event))
        cells = "".join(f'<td class="number">{number}</td>' for number in numbers)
        rows += f"<tr><td>{name}: {escape(event.act.title)}</td><td>{began}</td>{cells}<td>{answer}</td></tr>"
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _make_expectations(expectations: Sequence[Expectation]) -> str:
    rows = "".join(
        f"<tr><td>{escape(one.what)}</td><td>{_make_verdict(one)}</td><td>{escape(one.found)}</td></tr>"
        for one in expectations
    )
    return f"<h2>What was expected</h2><table><tbody>{rows}</tbody></table>"


def _make_verdict(one: Expectation) -> str:
    return '<span class="good">yes</span>' if one.is_met else '<span class="bad">NO</span>'


def _make_figure(content: bytes, caption: str) -> str:
    data = base64.b64encode(content).decode()
    return (
        f'<figure><img alt="{caption}" src="data:image/png;base64,{data}"><figcaption>{caption}</figcaption></figure>'
    )
