"""What several commands begin with: the pipeline of the settings, opened, and errors as messages. Loads little."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from pipeline_assets.commands.chains import Chains
    from pipeline_assets.commands.healing import Healer

DEBUG_VARIABLE: Final = "PIPELINE_DEBUG"
_INTERRUPTED: Final = 130  # 128 and the number of SIGINT, as shells have it


class ReportingGroup(click.Group):
    """A group of commands whose every failure is one message, not a stack; the stack comes with ``--debug``."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run what was asked for, however deep the command lies."""
        with _reporting():
            return super().invoke(ctx)


def reports_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Decorate a command that is also called outside of the group: a failure is one message, not a stack."""

    @wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> None:
        with _reporting():
            command(*args, **kwargs)

    return guarded


def is_debugging() -> bool:
    """Whether the command line was asked to show where errors come from."""
    ctx = click.get_current_context(silent=True)
    return ctx is not None and bool(ctx.find_root().params.get("debug"))


@contextmanager
def _reporting() -> Iterator[None]:
    try:
        yield
    except (click.ClickException, click.Abort, click.exceptions.Exit):
        raise
    except KeyboardInterrupt:
        click.echo("stopped; what was done stays: give the same command again, and it goes on", err=True)
        raise SystemExit(_INTERRUPTED) from None
    except Exception as error:
        if isinstance(error, BrokenPipeError) and error.filename is None:
            raise  # who reads the output has closed it: click ends quietly
        if type(error).__name__ == "DagsterExecutionInterruptedError":  # Dagster's word for SIGINT
            click.echo("stopped; what was done stays: give the same command again, and it goes on", err=True)
            raise SystemExit(_INTERRUPTED) from None
        from pipeline_assets.commands.messages import describe_error

        if is_debugging():
            click.echo("".join(traceback.format_exception(error)), err=True)
        raise click.ClickException(describe_error(error)) from error


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
