"""A day on which nothing came is closed, and people are told all the same."""

import shutil
from datetime import UTC, datetime, time

from pipeline_assets.core.lineage.records import Key
from tests.defs.conftest import START, CopyWorld
from tests.defs.worlds import DAY

CUT = START + 5 * DAY


def test_a_day_that_was_closed_without_a_file_is_told_until_its_file_comes(copy_world: CopyWorld) -> None:
    world = copy_world(CUT)
    folder, aside = world.root / "landing" / "transactions" / f"{CUT - DAY}", world.root / "aside"
    shutil.move(folder, aside)
    assert world.run_chain(CUT - DAY).success
    assert world.stores.records.find(Key("scores", CUT - DAY)) is not None
    world.clock.now = datetime.combine(CUT + DAY, time(8), UTC)
    world.tick("partition_late")
    assert [incident.alert.key for incident in world.alerts.list_open()] == ["freshness/input_missing"]
    shutil.move(aside, folder)
    world.tick("partition_late")
    assert world.alerts.list_open() == []
