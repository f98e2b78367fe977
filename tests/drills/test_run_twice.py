"""The same history, built twice from nothing."""

from pathlib import Path

import pytest

from pipeline_assets.commands.simulation import simulate_until
from pipeline_assets.settings import Settings
from tests.defs.conftest import LAST, PARAMS, START, open_pipeline, run_everything
from tests.defs.test_chains import hash_files


@pytest.mark.drill
def test_two_runs_from_scratch_end_in_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = []
    for name in ("one", "two"):
        root = tmp_path / name
        simulate_until(Settings(str(root), PARAMS, START), LAST, lambda _: None)
        run_everything(open_pipeline(root, monkeypatch))
        hashes.append(hash_files(root, "landing", "lake", "models", "release"))
    assert len(hashes[0]) > 400
    assert hashes[0] == hashes[1]
