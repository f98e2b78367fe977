"""The two pages of the guard: sign in, and "you come from elsewhere". No script, nothing from the network."""

from html import escape
from typing import Final

from pipeline_assets.guard.credentials import TOKEN_VARIABLE

TOKEN_FIELD: Final = "token"  # noqa: S105 - the name of the field
NEXT_FIELD: Final = "next"
# Neither page may be framed, run a script or load anything; the form goes to this server only.
PAGE_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 30rem; margin: 15vh auto; padding: 0 1rem; }
input, button { font: inherit; padding: .4rem .6rem; width: 100%; box-sizing: border-box; margin-top: .5rem; }
.problem { color: #cf222e; } .quiet { opacity: .75; font-size: .9em; }
"""


def make_sign_in_page(action: str, target: str, problem: str) -> str:
    """Return the form that asks for the token.

    Args:
        action: The path that takes the form.
        target: The path of this server to go to afterwards.
        problem: Why the last attempt failed; empty for the first one.
    """
    told = f'<p class="problem" role="alert">{escape(problem)}</p>' if problem else ""
    return _make_page(
        "Sign in",
        f'{told}<form method="post" action="{escape(action)}">'
        f'<input type="hidden" name="{NEXT_FIELD}" value="{escape(target)}">'
        f'<label for="token">Token</label><input id="token" type="password" name="{TOKEN_FIELD}" required autofocus '
        'autocomplete="current-password"><button>Sign in</button></form>'
        f'<p class="quiet">The value of {TOKEN_VARIABLE}, with which the server was started. It is kept for twelve '
        "hours, in this browser only.</p>",
    )


def make_foreign_page(problem: str, target: str) -> str:
    """Return the page for who followed a link of another site: it leads on by one click, which is the person's own.

    Args:
        problem: Why the request was refused.
        target: The path of this server that was asked for.
    """
    return _make_page(
        "You come from another site",
        f'<p>{escape(problem)}.</p><p>If you meant to come here: <a href="{escape(target)}">open the page</a>.</p>',
    )


def make_target(path: str, query: str) -> str:
    """Return path and query as a link within this server; its start page for what could lead elsewhere."""
    is_own = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    if not is_own or not query.isprintable():
        return "/"
    return f"{path}?{query}" if query else path


def _make_page(title: str, body: str) -> str:
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}: pipeline-assets</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><h1>{title}</h1>{body}</body></html>\n"
    )
