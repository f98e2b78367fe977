"""The card of a model as a person asks for it: by version, partition or day, and a clear word where there is none."""

from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipeline_assets.adapters.stages.models import locate_card
from pipeline_assets.adapters.storage import Storage, open_storage
from pipeline_assets.commands.card import card
from pipeline_assets.core.model_card import title_card

WEEK, EARLIER = date(2026, 2, 8), date(2026, 2, 1)
VERSION = f"{WEEK}-377c3a0b22a7"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """A data root with the cards of two weeks."""
    (tmp_path / "params.yaml").write_text("history_start: 2026-01-01\n")
    monkeypatch.setenv("PIPELINE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PIPELINE_PARAMS", str(tmp_path / "params.yaml"))
    storage = open_storage(str(tmp_path / "data"))
    for week, version in ((WEEK, VERSION), (EARLIER, f"{EARLIER}-aaaaaaaaaaaa")):
        storage.write(locate_card(week), f"{title_card(version)}\n\nIt scores.\n".encode())
    return storage


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(card, list(arguments))


@pytest.mark.parametrize("model", [(), (VERSION,), (f"fraud_model@{WEEK}",), (f"{WEEK}",)])
def test_a_card_is_found_by_version_partition_and_day_and_the_newest_without(
    root: Storage, model: tuple[str, ...]
) -> None:
    assert ask(*model).output == root.read(locate_card(WEEK)).decode()
    assert ask(f"{EARLIER}").output.startswith(title_card(f"{EARLIER}-aaaaaaaaaaaa"))


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("2026-02-15", "there is no card of a model as of 2026-02-15, the newest is reports/model_cards/2026-02-08.md"),
        (f"{WEEK}-000000000000", f"the card of {WEEK} is of another model: it begins with '# Model card: {VERSION}'"),
        ("champion", "expected a version (2026-02-08-377c3a0b22a7), a partition"),
    ],
)
def test_what_has_no_card_is_named_with_what_there_is(root: Storage, model: str, told: str) -> None:
    assert root.exists(locate_card(WEEK))
    result = ask(model)
    assert result.exit_code == 1
    assert told in result.output


def test_before_the_first_evaluation_the_next_step_is_named(root: Storage) -> None:
    for week in (WEEK, EARLIER):
        root.delete(locate_card(week))
    assert "there is no model card yet; materialize model_evaluation" in ask().output
