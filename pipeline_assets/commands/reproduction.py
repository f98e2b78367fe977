"""`pipeline-assets reproduce`: a model once more from what it was made from, and whether every bit is the same."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline_assets.commands.opening import reports_errors

if TYPE_CHECKING:
    from pipeline_assets.adapters.reproduction import Past
    from pipeline_assets.adapters.snapshots import Snapshots
    from pipeline_assets.core.lineage.tree import NodeId
    from pipeline_assets.core.lineage.verdicts import Verdict
    from pipeline_assets.settings import Settings


@click.command()
@click.argument("model")
@click.option("--from-remotes", "is_remote", is_flag=True, help="Take what landed from the snapshots' remotes alone.")
@click.option("--here", "is_here", is_flag=True, help="By the present code and parameters, not by those of then.")
@click.option("--into", type=click.Path(file_okay=False, path_type=Path), help="Empty folder to build in; it is kept.")
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)
@reports_errors
def reproduce(model: str, is_remote: bool, is_here: bool, into: Path | None, style: str) -> None:
    """Build MODEL again in an empty folder from its recorded inputs, code and parameters, and compare every hash.

    MODEL is a version (2026-02-08-377c3a0b22a7) or a partition (fraud_model@2026-02-08). It ends with 0 where all came
    out bit for bit, else with 1 and the first node that differs.
    """
    from pipeline_assets.adapters.leftovers import open_scratch
    from pipeline_assets.core.lineage.verdicts import describe_verdict, tell_verdict
    from pipeline_assets.settings import read_settings

    if into is not None and into.exists() and any(into.iterdir()):
        raise ValueError(f"--into {into}: expected an empty folder or none, found files in it")
    with open_scratch("reproduce-") as work:
        folder = work.resolve()
        target = into.absolute() if into else folder / "data"
        verdict = _judge(read_settings(), model, target, folder, is_here=is_here, is_remote=is_remote)
    lines = [json.dumps(describe_verdict(verdict), indent=1)] if style == "json" else list(tell_verdict(verdict))
    if verdict.difference and verdict.difference.node.startswith("landing@") and style == "text":
        lines.append(f"What landed then: pipeline-assets reproduce {verdict.model} --from-remotes")
    click.echo("\n".join(lines))
    if verdict.difference is not None:
        raise SystemExit(1)


def _judge(
    settings: "Settings", model: str, target: Path, folder: Path, *, is_here: bool, is_remote: bool
) -> "Verdict":
    """Compare what landed, then rebuild a model in ``target``; ``folder`` is for what is needed meanwhile."""
    from pipeline_assets.adapters.replica import hash_bytes
    from pipeline_assets.adapters.reproduction import count_landed, find_changed_landing, look_up, rebuild
    from pipeline_assets.adapters.worktree import open_code
    from pipeline_assets.commands.snapshots import open_snapshots
    from pipeline_assets.core.lineage.reproduction import NotReproducibleError, list_records
    from pipeline_assets.core.lineage.verdicts import Verdict

    started = time.monotonic()
    stores, snapshots = open_snapshots(settings)
    past = look_up(stores, snapshots, settings.params.describe_assets(), model, reads_landing=not is_remote)
    revision, parameters = _find_code(settings, snapshots, past, is_here=is_here)
    n_partitions, records = 0, list_records(past.tree)
    difference = None if is_remote else find_changed_landing(stores, past.tree)
    if difference is None:
        click.echo(f"{past.model}: {len(records)} partitions are built again ...", err=True)
        with open_code(revision, folder / "code", is_here=is_here) as code:
            fetch = (lambda _, md5: snapshots.fetch(md5)) if is_remote else (lambda path, _: stores.root.read(path))
            outcome = rebuild(past.tree, records, code, parameters, target, folder, fetch)
        if outcome.revision != revision and not is_here:
            raise NotReproducibleError(f"expected the code of {revision} to build it, found that of {outcome.revision}")
        n_partitions, difference = outcome.n_equal, outcome.difference
    return Verdict(
        past.model, past.record.md5, revision, hash_bytes(parameters), n_partitions, count_landed(past.tree),
        time.monotonic() - started, difference,
    )  # fmt: skip


def _find_code(settings: "Settings", snapshots: "Snapshots", past: "Past", *, is_here: bool) -> tuple[str, bytes]:
    """The revision and the parameters file that a model was made by, or those of now.

    Raises:
        NotReproducibleError: No snapshot has the model.
    """
    from pipeline_assets.adapters.revision import find_revision
    from pipeline_assets.core.lineage.reproduction import NotReproducibleError

    if is_here:
        return find_revision(), settings.params.to_bytes()
    if past.snapshot is None:
        raise NotReproducibleError(
            f"{past.model}: no snapshot has this model, so that neither its code nor its parameters are known; take "
            "one now if they are still the same: pipeline-assets snapshot take; or reproduce it by those of now: --here"
        )
    revision = _find_revision_of_run(settings, past.root) or past.snapshot.revision
    return revision, snapshots.fetch(past.snapshot.parameters)


def _find_revision_of_run(settings: "Settings", model: "NodeId") -> str | None:
    """The code of the run that made a model; None where the instance does not know it."""
    import dagster as dg
    from sqlalchemy.exc import SQLAlchemyError

    from pipeline_assets.commands.chains import prepare_home
    from pipeline_assets.definitions import find_origins

    try:
        prepare_home(settings.data_root)
        with dg.DagsterInstance.get() as instance:
            origin = find_origins(instance, [model]).get(model)
    except (OSError, dg.DagsterError, SQLAlchemyError) as error:
        click.echo(f"the run that made it is not known: the Dagster instance cannot be read: {error}", err=True)
        return None
    return origin.revision if origin else None


REPRODUCTION_COMMANDS = (reproduce,)
