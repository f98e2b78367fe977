"""Names of landed files: what can be written and printed, and how the others are shown."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_assets.core.names import LONGEST_NAME, find_name_fault, show_name

LATIN = os.fsdecode(b"caf\xe9.csv")


@pytest.mark.parametrize(
    "name", ["a.csv", "part-0/Zahlungen März.csv", "支払い.parquet", "a b\u00a0c.csv", "x" * LONGEST_NAME]
)
def test_names_that_can_be_written_are_names(name: str) -> None:
    assert find_name_fault(name) is None


@pytest.mark.parametrize(
    ("name", "fault", "shown"),
    [
        (LATIN, "no UTF-8", "caf\\xe9.csv"),
        ("a\nb.csv", "a control character (\\x0a)", "a\\x0ab.csv"),
        ("a\x1b[31m.csv", "a control character (\\x1b)", "a\\x1b[31m.csv"),
        ("a\x9b.csv", "a control character (\\x9b)", "a\\x9b.csv"),
        ("a\u2028b.csv", "a control character (\\u2028)", "a\\u2028b.csv"),
        ("a\u202egnp.csv", "a change of writing direction (\\u202e)", "a\\u202egnp.csv"),
        ("x" * 201, "201 bytes, expected at most 200", f"{'x' * 60}...{'x' * 20} (201 characters)"),
        ("ä" * 101, "202 bytes", f"{'ä' * 60}...{'ä' * 20} (101 characters)"),
    ],
)
def test_other_names_are_refused_and_shown_on_one_line(name: str, fault: str, shown: str) -> None:
    assert fault in str(find_name_fault(name))
    assert show_name(name) == shown


@given(st.binary(min_size=1, max_size=300))
def test_whatever_bytes_a_name_has_it_can_be_shown(name: bytes) -> None:
    shown = show_name(os.fsdecode(name))
    assert json.dumps(shown).encode()
    assert len(shown.splitlines()) <= 1
    assert shown.encode()
