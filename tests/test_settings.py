"""Settings: what the files of the project say, and what a mistake in one is answered with."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from pipeline_assets.core.ingestion import Unit
from pipeline_assets.settings import Params, read_params, read_settings

ROOT = Path(__file__).parents[1]


def write(folder: Path, text: str) -> Path:
    path = folder / "params.yaml"
    path.write_text(text)
    return path


def test_the_projects_parameters_are_the_defaults_that_the_code_documents() -> None:
    assert read_params(ROOT / "params.yaml") == Params()


def test_the_handbooks_example_maps_its_columns() -> None:
    params = read_params(ROOT / "examples" / "handbook.yaml")
    assert (params.history_start, params.history_end) == (date(2018, 4, 1), date(2018, 6, 30))
    assert params.ingestion.transactions.amount_cents.unit is Unit.MAJOR
    assert params.ingestion.labels is not None


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    assert read_params(write(tmp_path, "")) == Params()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("training: {round: 3}", "training.round"),
        ("training: {rounds: many}", "training.rounds"),
        ("release: {tolerated_loss: -1}", "release.tolerated_loss"),
        ("nonsense: 1", "nonsense"),
        ("simulation: {faults: [{kind: flood, day: 2026-01-01}]}", "simulation.faults.0"),
        ("{history_start: 2026-02-01, history_end: 2026-01-01}", "history_end"),
        ("[1, 2]", "top level"),
        ("a: [", "YAML"),
    ],
)
def test_a_mistake_names_the_file_and_the_key(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(ValueError, match=r"params\.yaml") as caught:
        read_params(write(tmp_path, text))
    assert named in str(caught.value)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="PIPELINE_PARAMS"):
        read_params(tmp_path / "none.yaml")


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root and a parameters file, both named by the environment."""
    monkeypatch.setenv("PIPELINE_DATA", str(tmp_path / "root"))
    monkeypatch.setenv("PIPELINE_PARAMS", str(write(tmp_path, "simulation: {n_days: 10}")))
    return tmp_path / "root"


def test_history_ends_yesterday_where_nothing_was_simulated_yet(environment: Path) -> None:
    settings = read_settings()
    assert settings.data_root == str(environment)
    assert settings.history_start == datetime.now(UTC).date() - timedelta(days=10)


def test_history_begins_with_the_simulated_world(environment: Path) -> None:
    environment.mkdir()
    (environment / "world.json").write_text('{"start": "2025-03-02"}')
    assert read_settings().history_start == date(2025, 3, 2)


def test_history_begins_where_the_parameters_say_whatever_was_simulated(environment: Path) -> None:
    environment.mkdir()
    (environment / "world.json").write_text('{"start": "2025-03-02"}')
    write(environment.parent, "history_start: 2025-04-01")
    assert read_settings().history_start == date(2025, 4, 1)


def test_a_broken_record_of_the_world_is_named(environment: Path) -> None:
    environment.mkdir()
    (environment / "world.json").write_text("{}")
    with pytest.raises(ValueError, match=r"world\.json"):
        read_settings()


@pytest.mark.parametrize("odd", ["2024-10-20/notes.txt", "2024-10-20/README", "1970-01-01/a.csv", "0001-01-01/a.csv"])
def test_history_begins_with_the_first_day_of_which_there_are_data(environment: Path, odd: str) -> None:
    for name in (odd, "2025-03-02/a.csv"):
        file = environment / "landing" / "transactions" / name
        file.parent.mkdir(parents=True)
        file.write_bytes(b"1")
    assert read_settings().history_start == date(2025, 3, 2)
