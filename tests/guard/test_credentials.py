"""A token that is worth the name, and sessions that nobody makes without it."""

import pytest

from pipeline_assets.guard.credentials import SESSION_SECONDS, TOKEN_VARIABLE, Credentials

TOKEN = "kX3-9fQv_72LmZpA0sRt"


@pytest.mark.parametrize(
    ("token", "found"),
    [
        (TOKEN[:-1], "19 characters"),
        ("a" * 40, "only 1 different"),
        (f"{TOKEN} ", "another character"),
        (f"{TOKEN}é", "another character"),
        (f"{TOKEN}\n", "another character"),
        (f"{TOKEN}=x", "another character"),
    ],
)
def test_a_token_that_is_weak_or_cannot_be_sent_is_refused_without_being_shown(token: str, found: str) -> None:
    with pytest.raises(ValueError, match=f"{TOKEN_VARIABLE}: .*found {found}.*make one with") as caught:
        Credentials(token)
    assert token not in str(caught.value)


def test_only_the_whole_token_in_its_own_case_is_the_token() -> None:
    credentials = Credentials(TOKEN)
    assert credentials.is_token(TOKEN)
    for other in ("", TOKEN[:-1], f"{TOKEN}x", TOKEN.lower(), TOKEN.upper(), f" {TOKEN}", "é", "\udcff"):
        assert not credentials.is_token(other)


def test_a_session_is_good_until_it_expires_and_only_for_the_token_that_opened_it() -> None:
    credentials = Credentials(TOKEN)
    session = credentials.open_session(1000.5)
    assert TOKEN not in session
    assert credentials.is_session(session, 1000 + SESSION_SECONDS - 0.1)
    assert not credentials.is_session(session, 1000 + SESSION_SECONDS)
    assert not Credentials(TOKEN[::-1]).is_session(session, 1000)
    assert Credentials(TOKEN).is_session(session, 1000)  # a web server that was started again


def test_a_session_that_was_changed_anywhere_is_none() -> None:
    credentials = Credentials(TOKEN)
    session = credentials.open_session(1000.0)
    for place, character in enumerate(session):
        changed = session[:place] + ("1" if character != "1" else "2") + session[place + 1 :]
        assert not credentials.is_session(changed, 0)
    for other in ("", ".", session.upper(), f"{session}\n", f"0{session}", session.partition(".")[2], TOKEN):
        assert not credentials.is_session(other, 0)


def test_credentials_do_not_show_the_token() -> None:
    assert TOKEN not in repr(Credentials(TOKEN))
