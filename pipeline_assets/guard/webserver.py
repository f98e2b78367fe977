"""Dagster's web server behind the guard: ``python -m pipeline_assets.guard.webserver``, started by the supervisor.

Does what ``dagster-webserver`` does for one workspace file, with the guard around its application. All that is private
to Dagster's web server is imported here, and nowhere else.
"""

import logging
import os
from pathlib import Path

import click

from pipeline_assets.guard.credentials import TOKEN_VARIABLE
from pipeline_assets.guard.middleware import MAX_BODY_BYTES, Guard
from pipeline_assets.guard.policy import Policy, open_policy


@click.command()
@click.option("--host", required=True)
@click.option("--port", type=int, required=True)
@click.option("--workspace", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
@click.option("--allow-host", "names", multiple=True)
def main(host: str, port: int, workspace: Path, names: tuple[str, ...]) -> None:
    """Serve the workspace on host and port, to whom the policy lets in; the token comes by the environment."""
    logging.basicConfig(format="webserver: %(message)s", level=logging.WARNING)
    logging.getLogger("uvicorn.error").addFilter(_is_no_refused_handshake)
    token = os.environ.pop(TOKEN_VARIABLE, "")  # nothing that is loaded from here on can show it
    serve(open_policy(host, port, names, token), workspace)


def serve(policy: Policy, workspace: Path) -> None:
    """Serve until SIGINT or SIGTERM."""
    import uvicorn
    from dagster import DagsterInstance
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import WorkspaceFileTarget
    from dagster_webserver import cli
    from dagster_webserver.app import create_app_from_workspace_process_context
    from dagster_webserver.version import __version__

    with DagsterInstance.get() as instance:
        instance.optimize_for_webserver(
            cli.DEFAULT_DB_STATEMENT_TIMEOUT, cli.DEFAULT_POOL_RECYCLE, cli.DEFAULT_POOL_MAX_OVERFLOW
        )
        target = WorkspaceFileTarget([str(workspace)])
        with WorkspaceProcessContext(instance, target, __version__, code_server_log_level="warning") as context:
            application = create_app_from_workspace_process_context(
                context, live_data_poll_rate=2000, lifespan=cli._lifespan
            )
            uvicorn.run(
                Guard(application, policy),
                host=policy.host,
                port=policy.port,
                log_config=None,
                log_level="warning",
                http="h11",  # the stricter parser: heads are bounded, and two Host headers are an error
                ws_max_size=MAX_BODY_BYTES,
                proxy_headers=False,  # who asks, and how, is what the connection says
                server_header=False,
            )


def _is_no_refused_handshake(record: logging.LogRecord) -> bool:
    """Leave out what uvicorn says of every websocket that is answered with a refusal; the guard's log counts them."""
    return "without completing handshake" not in record.getMessage()


if __name__ == "__main__":
    main()
