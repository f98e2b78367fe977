"""`pipeline-assets card`: what a person has to know of a model before he lets it decide."""

from datetime import date
from typing import TYPE_CHECKING

import click

from pipeline_assets.commands.opening import reports_errors

if TYPE_CHECKING:
    from pipeline_assets.adapters.storage import Storage

_FORMS = "a version (2026-02-08-377c3a0b22a7), a partition (fraud_model@2026-02-08) or its as-of day"
_DAY_LENGTH = len("2026-02-08")


@click.command()
@click.argument("model", required=False)
@reports_errors
def card(model: str | None) -> None:
    """The card of MODEL, in Markdown: data, quality by segment, calibration, verdicts, the priced ladder, limits.

    MODEL is a version (2026-02-08-377c3a0b22a7), a partition (fraud_model@2026-02-08) or its as-of day; the newest by
    default.
    """
    from pipeline_assets.adapters.stores import open_stores
    from pipeline_assets.settings import read_settings

    click.echo(find_card(open_stores(read_settings().data_root).root, model), nl=False)


def find_card(root: "Storage", model: str | None) -> str:
    """The card of a model, the newest where none is named.

    Raises:
        ValueError: The name is none of a model, or there is no card of it.
    """
    from pipeline_assets.adapters.stages.models import locate_card
    from pipeline_assets.core.lineage.recipes import MODEL
    from pipeline_assets.core.model_card import title_card

    cards = root.list(locate_card(date.min).rpartition("/")[0])
    if not cards:
        raise ValueError("there is no model card yet; materialize model_evaluation")
    if model is None:
        return root.read(cards[-1]).decode()
    name = model.removeprefix(f"{MODEL}@")
    try:
        as_of = date.fromisoformat(name[:_DAY_LENGTH])
    except ValueError as error:
        raise ValueError(f"expected {_FORMS}, found {model!r}") from error
    if locate_card(as_of) not in cards:
        raise ValueError(
            f"{model}: there is no card of a model as of {as_of}, the newest is {cards[-1]}; materialize "
            f"model_evaluation for {as_of}"
        )
    text = root.read(locate_card(as_of)).decode()
    title = text.partition("\n")[0]
    if len(name) > _DAY_LENGTH and title != title_card(name):
        raise ValueError(f"{model}: the card of {as_of} is of another model: it begins with {title!r}")
    return text


CARD_COMMANDS = (card,)
