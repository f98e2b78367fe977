"""One spelling for a host, however it is written; and nothing that only looks like one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_assets.guard.authority import Authority, parse_authority, parse_origin, write_address


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("127.0.0.1:3000", Authority("127.0.0.1", 3000)),
        ("LocalHost", Authority("localhost", None)),
        ("example.org.:80", Authority("example.org", 80)),
        ("[::1]:3000", Authority("[::1]", 3000)),
        ("[0:0:0:0:0:0:0:1]", Authority("[::1]", None)),
        ("[FE80::A]:1", Authority("[fe80::a]", 1)),
    ],
)
def test_a_host_has_one_spelling(written: str, expected: Authority) -> None:
    assert parse_authority(written) == expected


@pytest.mark.parametrize(
    "written",
    ["", ":3000", "localhost:", "localhost:0", "localhost:65536", "localhost:3000:3000", "user@localhost:3000",
     "localhost:3000/x", "localhost, other", " localhost", "localhost\n", "::1", "[::1", "[::1%25eth0]", "[1.2.3.4]",
     "..", ".", "a..b", ".localhost", "localhost:٣", "löcal", "*"],
)  # fmt: skip
def test_what_is_not_exactly_one_host_is_none(written: str) -> None:
    assert parse_authority(written) is None


@given(st.text(max_size=40))
def test_whatever_is_parsed_is_parsed_to_the_same_again(written: str) -> None:
    found = parse_authority(written)
    assert found is None or parse_authority(str(found)) == found


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("http://localhost:3000", ("http", Authority("localhost", 3000))),
        ("https://Example.org/a?b#c", ("https", Authority("example.org", 443))),
        ("HTTP://127.0.0.1?x", ("http", Authority("127.0.0.1", 80))),
    ],
)
def test_an_origin_has_a_port_always(written: str, expected: tuple[str, Authority]) -> None:
    assert parse_origin(written) == expected


@pytest.mark.parametrize(
    "written", ["null", "", "http:", "http:///x", "file:///x", "ftp://localhost", "http://a@localhost", "//localhost"]
)
def test_what_is_no_web_origin_is_none(written: str) -> None:
    assert parse_origin(written) is None


@pytest.mark.parametrize(
    ("address", "expected"),
    [("10.0.0.5", "10.0.0.5"), ("::1", "[::1]"), ("::ffff:10.0.0.5", "10.0.0.5"), ("fe80::1%eth0", "[fe80::1]")],
)
def test_an_address_is_written_as_in_a_url(address: str, expected: str) -> None:
    assert write_address(address) == expected
