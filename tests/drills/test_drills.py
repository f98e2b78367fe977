"""The crash matrix, on every change: hundreds of kills for real, and everything recovers.

The other drills break whole servers, disks and clocks, which takes a machine for itself: `make drills` runs them all.
"""

import logging
from collections.abc import Iterator

import pytest

from pipeline_assets.drills.drill import Drill, run_drill
from pipeline_assets.drills.registry import DRILLS, open_world
from pipeline_assets.drills.report import make_table
from pipeline_assets.drills.world import World

_logger = logging.getLogger(__name__)
ON_EVERY_CHANGE = [drill for drill in DRILLS if drill.name == "crash_matrix"]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """The built world, for all drills of this module."""
    with open_world() as built:
        yield built


@pytest.mark.drill
@pytest.mark.timeout(3600)  # it breaks hundreds of runs: minutes on two idle cores
@pytest.mark.parametrize("drill", ON_EVERY_CHANGE, ids=lambda drill: drill.name)
def test_what_a_drill_breaks_recovers(drill: Drill, world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)  # see it always with --log-cli-level=INFO
    result = run_drill(drill, world, _logger.info)
    _logger.info("\n%s\n%s", make_table([result]), dict(result.broken))
    assert not result.problems, "\n".join(result.problems)
    assert result.passed
    assert result.n_broken > 0
    assert result.rows_lost == result.rows_doubled == 0
    assert result.files_equal == result.files_compared > 0
