"""The questions to the past: what something was made from, and who decided at a moment."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from pipeline_assets.commands.opening import reports_errors

if TYPE_CHECKING:
    from pipeline_assets.adapters.lineage import Question
    from pipeline_assets.core.lineage.tree import NodeId, Origin, Tree
    from pipeline_assets.settings import Settings

_FORMATS: Final = ("text", "json", "mermaid", "dot", "openlineage")


@click.command()
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
@click.option("--format", "style", type=click.Choice(_FORMATS), default="text", show_default=True)
@click.option("--depth", type=click.IntRange(min=0), help="Steps to go down from KEY; all by default.")
@click.option("--all", "is_complete", is_flag=True, help="Each partition by itself, not ranges of days.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="File to write it to.")
@click.option("--repository", help="URL of the repository of the code, for openlineage's sourceCodeLocation.")
@reports_errors
def lineage(
    keys: tuple[str, ...], style: str, depth: int | None, is_complete: bool, output: Path | None, repository: str | None
) -> None:
    """What KEY was made from, down to the landed files.

    KEY is a partition (scores@2026-05-01), a model (2026-02-08-377c3a0b22a7), or the decision on a payment
    (scores/<transaction id>). Text shows ranges of days, mermaid and dot an asset a box; JSON is always complete.
    """
    from pipeline_assets.adapters.exports import write_file
    from pipeline_assets.adapters.history import History
    from pipeline_assets.adapters.lineage import open_sources, resolve
    from pipeline_assets.commands.snapshots import open_snapshots
    from pipeline_assets.core.lineage.tree import build_tree
    from pipeline_assets.settings import read_settings

    settings = read_settings()
    stores, snapshots = open_snapshots(settings)
    sources, assets = open_sources(stores, History(snapshots)), settings.params.describe_assets()
    questions = [resolve(stores, sources, assets, key) for key in keys]
    tree = build_tree((root for question in questions for root in question.roots), sources, depth)
    if style in {"mermaid", "dot"}:
        lines = _draw(style, tree, is_collapsed=not is_complete)
    elif style == "openlineage":
        lines = _list_events(settings, tree, stores.root.root, repository)
    else:
        list_lines = _list_json if style == "json" else _list_text
        lines = list_lines(questions, tree, _find_origins(settings, tree), is_collapsed=not is_complete)
    text = "".join(f"{line}\n" for line in lines)
    if output is None:
        click.echo(text, nl=False)
    else:
        write_file(output, text)
        click.echo(f"{len(tree.nodes)} versions of partitions, {sum(1 for _ in tree.list_edges())} inputs: {output}")


def _find_origins(settings: "Settings", tree: "Tree") -> "dict[NodeId, Origin]":
    """The runs that made what is in a tree; without an instance nothing is known of them, and the rest is told."""
    import dagster as dg
    from sqlalchemy.exc import SQLAlchemyError

    from pipeline_assets.commands.chains import prepare_home
    from pipeline_assets.core.lineage.recipes import LANDING
    from pipeline_assets.core.lineage.records import UNAVAILABLE
    from pipeline_assets.definitions import find_origins

    made = [one for one in tree.nodes if one.key.asset != LANDING and one.version != UNAVAILABLE]
    try:
        prepare_home(settings.data_root)
        with dg.DagsterInstance.get() as instance:
            return find_origins(instance, made)
    except (OSError, dg.DagsterError, SQLAlchemyError) as error:
        click.echo(f"by which runs it was made is not known: the Dagster instance cannot be read: {error}", err=True)
        return {}


def _draw(style: str, tree: "Tree", *, is_collapsed: bool) -> Iterator[str]:
    from pipeline_assets.core.lineage.pictures import draw_dot, draw_mermaid

    return (draw_dot if style == "dot" else draw_mermaid)(tree, is_collapsed=is_collapsed)


def _list_events(settings: "Settings", tree: "Tree", root: str, repository: str | None) -> Iterator[str]:
    from pipeline_assets.adapters.openlineage import describe_runs

    return describe_runs(tree, _find_origins(settings, tree), root, datetime.now(UTC), repository)


def _list_json(
    questions: "Sequence[Question]", tree: "Tree", origins: "dict[NodeId, Origin]", **_: bool
) -> Iterator[str]:
    from pipeline_assets.core.lineage.pictures import describe_tree

    asked: list[dict[str, Any]] = [
        {"key": one.key, "roots": [str(root) for root in one.roots], "decision": one.decision} for one in questions
    ]
    yield json.dumps({"asked": asked, **describe_tree(tree, origins)}, indent=1)


def _list_text(
    questions: "Sequence[Question]", tree: "Tree", origins: "dict[NodeId, Origin]", *, is_collapsed: bool
) -> Iterator[str]:
    from pipeline_assets.core.lineage.pictures import render_text

    for question in questions:
        if question.decision is not None:
            told = question.decision
            yield (
                f"{question.key}: arrived {told['date']}, score {told['score']:.6g}, {told['decision']}, "
                f"by {told['rung']} {told['model_version']}"
                + (f"; reasons: {', '.join(told['reason_codes'])}" if told["reason_codes"] else "")
                + (f"; degraded by: {', '.join(told['degraded_by'])}" if told["degraded_by"] else "")
            )
    yield from render_text(tree, origins, is_collapsed=is_collapsed)


@click.command("who-was-live")
@click.option("--at", "moment", required=True, help="ISO time, UTC unless it says otherwise: 2026-02-10T12:00.")
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)
@reports_errors
def who_was_live(moment: str, style: str) -> None:
    """Which models decided at a moment, for which share, since when, until when, and why: by the release log."""
    from pipeline_assets.adapters.stores import open_stores
    from pipeline_assets.core.lineage.live import describe_live, find_live, tell_live
    from pipeline_assets.settings import read_settings

    at = _parse_moment(moment)
    live = find_live(open_stores(read_settings().data_root).release_log.entries(), at)
    click.echo("\n".join(tell_live(live)) if style == "text" else json.dumps(describe_live(live), indent=1))


def _parse_moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(
            f"--at: expected an ISO time such as 2026-02-10, 2026-02-10T12:00 or 2026-02-10T12:00+01:00, found {text!r}"
        ) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


LINEAGE_COMMANDS = (lineage, who_was_live)
