"""The picture of the release: made of what was in force, and of the models' precision."""

from datetime import UTC, date, datetime, timedelta

from pipeline_assets.contracts.vocabularies import ReleaseAction
from pipeline_assets.core.release import ReleaseEntry
from pipeline_assets.core.release.evidence import Health
from pipeline_assets.core.release.plot import plot_release

START = date(2026, 3, 1)
DAYS = [START + timedelta(days=number) for number in range(10)]


def entry(number: int, action: ReleaseAction, **parts: object) -> ReleaseEntry:
    start = datetime.combine(DAYS[number], datetime.min.time(), UTC)
    return ReleaseEntry(DAYS[number], start, action, "", backup=None, sequence=number, **parts)  # type: ignore[arg-type]


ENTRIES = [
    entry(0, ReleaseAction.HOLD, champion=None),
    entry(2, ReleaseAction.PROMOTE, champion="a"),
    entry(5, ReleaseAction.START_CANARY, champion="a", canary="b", canary_share=0.25),
]
HEALTH = Health({day: {"a": {"mature_average_precision": 0.7}, "rules-1": {"mature_average_precision": 0.3}}
                 for day in DAYS})  # fmt: skip


def test_the_same_log_and_evidence_give_the_same_png_and_others_another() -> None:
    png = plot_release(ENTRIES, HEALTH, DAYS[0], DAYS[-1])
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert png == plot_release(ENTRIES, HEALTH, DAYS[0], DAYS[-1])
    assert png != plot_release(ENTRIES[:2], HEALTH, DAYS[0], DAYS[-1])
    assert png != plot_release(ENTRIES, Health({}), DAYS[0], DAYS[-1])


def test_without_a_log_and_without_evidence_there_is_an_empty_picture() -> None:
    assert plot_release([], Health({}), DAYS[0], DAYS[-1])[:8] == b"\x89PNG\r\n\x1a\n"
