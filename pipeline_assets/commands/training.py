"""`pipeline-assets train`: a model on demand, of a week that is due or of one that is not."""

from datetime import UTC, datetime

import click

from pipeline_assets.commands.opening import open_chains, reports_errors


@click.command()
@click.option(
    "--week",
    type=click.DateTime(formats=["%Y-%m-%d"]),
    help="First day of the week that the model is for; by default of the newest week that has begun.",
)
@reports_errors
def train(week: datetime | None) -> None:
    """Train a model now: from what was known before its week began, with its evaluation.

    On schedule a model is trained every `retraining.every_weeks` weeks, and between when drift is found.
    """
    from pipeline_assets.adapters.landed_days import find_newest_day
    from pipeline_assets.adapters.stores import open_stores
    from pipeline_assets.core.lineage.recipes import MODEL
    from pipeline_assets.core.lineage.records import Key
    from pipeline_assets.core.retraining import choose_week
    from pipeline_assets.settings import read_settings

    settings, now = read_settings(), datetime.now(UTC)
    stores, chains = open_stores(settings.data_root), open_chains()
    newest_landed = find_newest_day(stores, now, settings.params.freshness)
    wanted = week.date() if week else None
    chosen = choose_week(chains.list_weeks(), newest_landed, now.date(), wanted)
    before = stores.records.find(Key(MODEL, chosen))
    chains.train(chosen)
    made, version = stores.records.find(Key(MODEL, chosen)), stores.models.find(chosen).version
    if before is not None and made is not None and before.version == made.version:
        click.echo(f"Model {version}: the same as before, because nothing that it is made from has changed")
        return
    lines = [
        f"Model {version}: a challenger, which decides on nothing until it is promoted by evidence or by hand",
        "Next:  what the days since then have to say of it is made by the sensor partition_failed, or:",
        "       pipeline-assets heal --apply",
        "       how good it is on the last week with mature labels:",
        f"       pipeline-assets sql \"select * from model_evaluation where date = '{chosen}'\"",  # noqa: S608 - to be typed
    ]
    click.echo("\n".join(lines))


TRAINING_COMMANDS = (train,)
