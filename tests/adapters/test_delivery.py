"""A foreign source in the landing zone: every row on its day, once, and the labels only when they were known."""

import io
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from pipeline_assets.adapters.delivery import deliver
from pipeline_assets.adapters.landing import LandingZone
from pipeline_assets.adapters.storage import LocalStorage
from pipeline_assets.contracts.vocabularies import Feed
from pipeline_assets.core.ingestion import (
    AmountColumn,
    IngestionParams,
    LabelColumn,
    TimeColumn,
    TransactionsMapping,
    Unit,
    check_rows_are_conserved,
    ingest_day,
    recount_file,
)
from pipeline_assets.drills.hostile_names import THINGS

HANDBOOK = Path(__file__).parents[2] / "../shared/handbook/transactions"
PARAMS = IngestionParams(
    transactions=TransactionsMapping(
        transaction_id="TRANSACTION_ID",
        event_time=TimeColumn("TX_DATETIME"),
        customer_id="CUSTOMER_ID",
        terminal_id="TERMINAL_ID",
        amount_cents=AmountColumn("TX_AMOUNT", Unit.MAJOR),
        ignored_columns=("TX_TIME_SECONDS", "TX_TIME_DAYS", "TX_FRAUD", "TX_FRAUD_SCENARIO"),
    ),
    labels=LabelColumn("TX_FRAUD"),
)
FIRST = date(2018, 4, 1)


def foreign(*hours: int, first_id: int = 0) -> pl.DataFrame:
    """Payments at these hours since the first day; every other one is a fraud."""
    return pl.DataFrame(
        {
            "TRANSACTION_ID": range(first_id, first_id + len(hours)),
            "TX_DATETIME": [datetime(2018, 4, 1) + timedelta(hours=hour) for hour in hours],  # noqa: DTZ001
            "CUSTOMER_ID": [1] * len(hours),
            "TERMINAL_ID": [2] * len(hours),
            "TX_AMOUNT": [12.34] * len(hours),
            "TX_FRAUD": [n % 2 for n in range(len(hours))],
        }
    )


def parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


RENDERERS: dict[str, Callable[[pl.DataFrame], bytes]] = {
    "parquet": parquet,
    "csv": lambda frame: frame.write_csv(datetime_format="%Y-%m-%d %H:%M:%S").encode(),
    "jsonl": lambda frame: frame.with_columns(pl.col("TX_DATETIME").dt.strftime("%FT%T")).write_ndjson().encode(),
}  # fmt: skip


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


@pytest.fixture
def landing(tmp_path: Path) -> LandingZone:
    return LandingZone(LocalStorage(tmp_path / "landing"))


def ingest_all(landing: LandingZone) -> dict[Feed, dict[str, date]]:
    """The day of each kept id, by feed, after every landed day was ingested and its rows were recounted."""
    found: dict[Feed, dict[str, date]] = {feed: {} for feed in Feed}
    for day in sorted({day for feed in Feed for day in landing.list_days(feed)}):
        files = landing.read_day(day)
        intake = ingest_day(files, {}, day, PARAMS)
        recounts = [recount_file(feed, file) for feed in Feed for file in files[feed]]
        finding = check_rows_are_conserved(recounts, intake.kept, intake.quarantine, intake.ledger)
        assert finding.passed, finding.explanation
        for feed, frame in intake.kept.items():
            found[feed] |= dict.fromkeys(frame["transaction_id"].to_list(), day)
    return found


@pytest.mark.parametrize("kind", RENDERERS)
def test_a_file_of_several_days_is_split_by_the_day_of_the_event(source: Path, landing: LandingZone, kind: str) -> None:
    (source / f"1999-01-01.{kind}").write_bytes(RENDERERS[kind](foreign(0, 23, 24, 47, 48)))
    done = deliver(source, landing, PARAMS, FIRST, FIRST + timedelta(days=30))
    assert (done.rows, done.rows_outside, done.skipped) == (5, 0, ())
    days = ingest_all(landing)[Feed.TRANSACTIONS]
    assert days == {str(n): FIRST + timedelta(days=day) for n, day in enumerate([0, 0, 1, 1, 2])}


@pytest.mark.parametrize("kind", RENDERERS)
def test_a_file_of_one_day_is_copied_byte_for_byte(source: Path, landing: LandingZone, kind: str) -> None:
    content = RENDERERS[kind](foreign(1, 2, 3))
    (source / f"any.{kind}").write_bytes(content)
    deliver(source, landing, PARAMS, FIRST, FIRST)
    assert landing.read_file(Feed.TRANSACTIONS, FIRST, f"any.{kind}").content == content


def test_frauds_land_as_chargebacks_on_the_day_of_their_report_and_not_before_it_is_known(
    source: Path, landing: LandingZone
) -> None:
    (source / "a.parquet").write_bytes(parquet(foreign(0, 1, 24, 25)))
    deliver(source, landing, PARAMS, FIRST, FIRST + timedelta(days=7))
    assert ingest_all(landing)[Feed.CHARGEBACKS] == {"1": FIRST + timedelta(days=7)}
    deliver(source, landing, PARAMS, FIRST, FIRST + timedelta(days=8))
    assert ingest_all(landing)[Feed.CHARGEBACKS] == {"1": FIRST + timedelta(days=7), "3": FIRST + timedelta(days=8)}
    files = landing.read_day(FIRST + timedelta(days=7))
    reports = ingest_day(files, {}, FIRST + timedelta(days=7), PARAMS).kept[Feed.CHARGEBACKS]
    assert reports["reported_at"].to_list() == [datetime(2018, 4, 8, 1, tzinfo=UTC)]


def test_delivering_again_or_in_parts_lands_the_same_files(source: Path, landing: LandingZone, tmp_path: Path) -> None:
    (source / "a.parquet").write_bytes(parquet(foreign(*range(0, 200, 5))))
    (source / "b.csv").write_bytes(RENDERERS["csv"](foreign(*range(100, 300, 7), first_id=100)))
    last = FIRST + timedelta(days=20)
    first_time = deliver(source, landing, PARAMS, FIRST, last)
    second_time = deliver(source, landing, PARAMS, FIRST, last)
    assert (second_time.files_landed, second_time.files_there) == (0, first_time.files_landed)
    parts = LandingZone(LocalStorage(tmp_path / "parts"))
    for start in (FIRST + timedelta(days=n) for n in range(0, 21, 3)):
        deliver(source, parts, PARAMS, start, start + timedelta(days=2))
    for day in (FIRST + timedelta(days=n) for n in range(21)):
        assert parts.read_day(day) == landing.read_day(day)


def test_rows_whose_day_cannot_be_told_land_with_the_most_of_their_file(source: Path, landing: LandingZone) -> None:
    header = b"TRANSACTION_ID,TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT\n"
    rows = [b"1,2018-04-01 10:00:00,1,2,3", b"2,2018-04-02 10:00:00,1,2,3", b"3,2018-04-02 11:00:00,1,2,3"]
    (source / "a.csv").write_bytes(header + b"\n".join([b"4,never,1,2,3", *rows, b"ragged", b"5,\xe9,1,2,3"]))
    done = deliver(source, landing, PARAMS, FIRST, FIRST + timedelta(days=1))
    assert done.rows == 6
    second = landing.read_day(FIRST + timedelta(days=1))
    intake = ingest_day(second, {}, FIRST + timedelta(days=1), PARAMS)
    assert (intake.kept[Feed.TRANSACTIONS].height, intake.quarantine.height) == (2, 3)
    assert set(ingest_all(landing)[Feed.TRANSACTIONS]) == {"1", "2", "3"}


def test_a_file_that_cannot_be_read_lands_on_the_first_day_and_other_formats_are_named(
    source: Path, landing: LandingZone
) -> None:
    (source / "sub").mkdir()
    (source / "sub" / "broken.parquet").write_bytes(b"PAR1")
    (source / "README.md").write_bytes(b"read me")
    (source / ".hidden.csv").write_bytes(b"x")
    heard: list[str] = []
    done = deliver(source, landing, PARAMS, FIRST, FIRST, heard.append)
    assert (done.files_landed, done.skipped) == (1, ("README.md",))
    assert landing.list_files(Feed.TRANSACTIONS, FIRST) == ["sub__broken.parquet"]
    assert heard == ["sub__broken.parquet: 0 rows, 1 new files landed"]
    assert ingest_all(landing)[Feed.TRANSACTIONS] == {}


@pytest.mark.skipif(not HANDBOOK.is_dir(), reason="the Handbook's data is not beside the repository")
def test_the_handbooks_own_files_are_kept_to_the_last_row_and_cent(landing: LandingZone) -> None:
    days = [FIRST + timedelta(days=n) for n in range(9)]
    deliver(HANDBOOK, landing, PARAMS, days[0], days[-1])
    for day in days:
        raw = pl.read_parquet(HANDBOOK / f"{day}.parquet")
        files = landing.read_day(day)
        assert files[Feed.TRANSACTIONS][0].content == (HANDBOOK / f"{day}.parquet").read_bytes()
        intake = ingest_day(files, {}, day, PARAMS)
        kept = intake.kept[Feed.TRANSACTIONS]
        assert intake.quarantine.is_empty()
        assert sorted(kept["transaction_id"].cast(pl.Int64)) == sorted(raw["TRANSACTION_ID"])
        assert kept["amount_cents"].sum() == sum(round(amount * 100) for amount in raw["TX_AMOUNT"])
    reported = ingest_all(landing)[Feed.CHARGEBACKS]
    frauds = pl.concat([pl.read_parquet(HANDBOOK / f"{day}.parquet") for day in days[:2]]).filter(
        pl.col("TX_FRAUD") == 1
    )
    assert sorted(map(int, reported)) == sorted(frauds["TRANSACTION_ID"])


def test_what_is_no_data_in_a_source_is_refused_and_named_and_the_rest_lands(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "good.parquet").write_bytes(parquet(foreign(1, 2)))
    shown = {make(source / "sub") for make in THINGS.values()}
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "other.parquet").write_bytes(parquet(foreign(3)))
    (source / "linked").symlink_to(tmp_path / "elsewhere")
    done = deliver(source, LandingZone(LocalStorage(tmp_path / "zone")), PARAMS, FIRST, FIRST)
    assert (done.files_landed, done.rows, done.skipped) == (1, 2, ())
    assert len(done.refused) == len(THINGS) + 1
    for name in shown:
        assert any(name[-12:] in one for one in done.refused), name
