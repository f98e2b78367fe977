"""The parameters file: each key once, read in one way, within limits, and every mistake named with its line."""

from pathlib import Path

import pytest

from pipeline_assets.adapters.params_file import MAX_BYTES, MAX_DEPTH, ParamsFileError, read_params_file
from pipeline_assets.settings import read_params


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "params.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refuse(folder: Path, content: str | bytes) -> str:
    with pytest.raises(ValueError, match=r"parameters file .*params\.yaml: ") as caught:
        read_params(write(folder, content))
    text = str(caught.value)
    assert "\n" not in text
    return text.partition("params.yaml: ")[2]


@pytest.mark.parametrize(
    ("text", "key", "lines"),
    [
        ("training: {rounds: 3}\nrules: {}\ntraining: {seed: 1}\n", "training", (3, 1)),
        ("training:\n  rounds: 3\n  seed: 1\n  rounds: 4\n", "training.rounds", (4, 2)),
        ("release:\n  gate:\n    alpha: 0.1\n    alpha: 0.2\n", "release.gate.alpha", (4, 3)),
        ("simulation:\n  faults:\n  - kind: x\n    kind: y\n", "simulation.faults.0.kind", (4, 3)),
        ("a: 1\n'a': 2\n", "a", (2, 1)),
    ],
)
def test_a_key_that_is_there_twice_is_named_with_both_lines(
    tmp_path: Path, text: str, key: str, lines: tuple[int, int]
) -> None:
    said = refuse(tmp_path, text)
    assert said.startswith(f"{key} (line {lines[0]}): expected each key once; it is also in line {lines[1]}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("training:\n  rounds: 3\n\tseed: 1\n", "line 3, column 1: expected YAML, found a tab; YAML is indented"),
        ("a: [\n", "expected YAML, found"),
        ("a: 1\n---\nb: 2\n", "line 2, column 1: expected YAML"),
        ("a: !!python/name:os.system\n", "line 1, column 4: expected YAML, found could not determine a constructor"),
        ("1: 2\n", "top level (line 1): expected a word as key, found '1'"),
        ("training:\n  yes: 2\n", "training (line 2): expected a word as key, found 'yes'"),
        ("? [a]\n: 2\n", "top level (line 1): expected a word as key, found a list"),
        ("simulation:\n  file_format: no\n", "simulation.file_format (line 2): expected true, false, or a word"),
        (
            "simulation:\n  n_days: 0100\n",
            "simulation.n_days (line 2): expected a number that every reader reads alike",
        ),
        ("simulation: {n_days: 1:30}\n", "simulation.n_days (line 1): expected a number that every reader reads alike"),
        ("history_start: 2026-02-30\n", "history_start (line 1): expected a value that there is, found '2026-02-30'"),
        ("training: {seed: true}\n", "training.seed (line 1): expected no truth value, found true"),
        ("training: {rounds: .inf}\n", "training.rounds (line 1): expected a finite number, found inf"),
        ("release: {tolerated_loss: .nan}\n", "release.tolerated_loss (line 1): expected a finite number, found nan"),
        ("serving:\n  min_timeout_seconds: '1e400'\n", "serving.min_timeout_seconds (line 2): expected a finite"),
        ("serving: {min_timeout_seconds: 1.0e+300}\n", "serving.min_timeout_seconds (line 1): expected a number of at"),
        ("release: {shadow_days: 40000}\n", "release.shadow_days (line 1): expected a number of at most 36,525"),
        ("snapshots: {keep_weeks: '999999999'}\n", "snapshots.keep_weeks (line 1): expected a number of at most 5,218"),
        ("training: {rounds: 99999999999999999999}\n", "training.rounds (line 1): expected a number of at most"),
        ("training: {rounds: " + "9" * 5000 + "}\n", "training.rounds (line 1): expected a value that there is"),
        ("history_start: 0001-01-01\n", "history_start (line 1): expected a day from 1970-01-01 to 2199-12-31"),
        ("history_start: '9999-12-31'\n", "history_start (line 1): expected a day from"),
        ("training:\n  rounds: many\n", "training.rounds (line 2): Input should be a valid integer"),
        ("rules: {}\ntrainings: {}\n", "trainings (line 2): Unexpected keyword argument"),
        (b"training: {}\nrules: caf\xe9\n", "line 2: expected text in UTF-8, found the bytes e9 0a"),
        ("a: \0\n", "expected YAML, found"),
    ],
)
def test_a_mistake_is_named_with_key_and_line(tmp_path: Path, text: str | bytes, said: str) -> None:
    assert said in refuse(tmp_path, text)


def test_lists_in_each_other_beyond_the_limit_are_refused_before_anything_is_built(tmp_path: Path) -> None:
    assert read_params_file(write(tmp_path, "[" * MAX_DEPTH + "]" * MAX_DEPTH)).values
    said = refuse(tmp_path, "\n" + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))
    assert said == f"line 2: expected at most {MAX_DEPTH} lists and mappings in each other"


def test_values_beyond_the_limit_are_refused_those_of_aliases_counted_as_used(tmp_path: Path) -> None:
    many = "a: &a [" + "0, " * 9_000 + "0]\n"
    assert read_params_file(write(tmp_path, many)).values
    assert "aliases counted as used" in refuse(tmp_path, f"{many}b: [*a, *a]\n")


def test_an_alias_is_read_and_one_of_itself_is_refused(tmp_path: Path) -> None:
    file = read_params_file(write(tmp_path, "a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}\n"))
    assert file.values == {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2}}
    assert "line 1: *a is not there before it, or is a part of itself" in refuse(tmp_path, "a: &a [*a]\n")
    assert "line 1: *b is not there" in refuse(tmp_path, "a: *b\n")


def test_a_file_that_is_too_big_is_refused_unread(tmp_path: Path) -> None:
    assert "expected at most 1,000,000 bytes" in refuse(tmp_path, b"#" * (MAX_BYTES + 1))


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ParamsFileError, match="expected a file, found a folder"):
        read_params_file(tmp_path)


def test_words_dates_and_numbers_as_people_write_them_are_read(tmp_path: Path) -> None:
    text = "{history_start: '2026-01-04', history_end: 2026-02-01, simulation: {n_days: 10, file_format: 'csv'}}"
    params = read_params(write(tmp_path, text))
    assert (str(params.history_start), str(params.history_end)) == ("2026-01-04", "2026-02-01")
