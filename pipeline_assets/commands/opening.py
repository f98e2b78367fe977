"""What several commands begin with: the pipeline of the settings, opened, and errors as messages. Loads little."""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pipeline_assets.commands.chains import Chains
    from pipeline_assets.commands.healing import Healer


def reports_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Decorate a command: an error that a user can mend is one message, not a stack."""

    @wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> None:
        from pipeline_assets.commands.chains import ChainFailedError
        from pipeline_assets.commands.healing import NotHealedError
        from pipeline_assets.drills.drill import DrillError

        try:
            command(*args, **kwargs)
        except (ValueError, FileNotFoundError, ChainFailedError, NotHealedError, DrillError) as error:
            raise click.ClickException(str(error)) from error

    return guarded


def open_chains() -> "Chains":
    """The chains of the settings, on the instance of their data root."""
    from pipeline_assets.commands.chains import Chains, prepare_home
    from pipeline_assets.settings import read_settings

    settings = read_settings()
    prepare_home(settings.data_root)
    from pipeline_assets.definitions import build_definitions

    return Chains(build_definitions(settings), click.echo)


def open_healer() -> "Healer":
    """What heals the data root of the settings."""
    from pipeline_assets.adapters.replica import open_replicas
    from pipeline_assets.adapters.stores import open_stores
    from pipeline_assets.commands.chains import prepare_home
    from pipeline_assets.commands.healing import Healer
    from pipeline_assets.definitions import build_surveyor
    from pipeline_assets.settings import read_settings

    settings = read_settings()
    prepare_home(settings.data_root)
    stores = open_stores(settings.data_root)
    replicas = open_replicas(stores.root, settings.params.snapshots.remotes)
    return Healer(build_surveyor(settings), stores, replicas, click.echo)
