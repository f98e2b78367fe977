"""Quarantined rows, corrected and replayed: they end in their table, once, and nothing is uncounted on the way."""

import csv
import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from pipeline_assets.adapters.lake import Lake
from pipeline_assets.adapters.landing import LandingZone
from pipeline_assets.adapters.replay import export_quarantine, replay
from pipeline_assets.adapters.storage import LocalStorage
from pipeline_assets.contracts.tables import CHARGEBACKS, LEDGER, QUARANTINE, TRANSACTIONS
from pipeline_assets.contracts.vocabularies import Feed, Reason
from pipeline_assets.core.ingestion import (
    AmountColumn,
    IngestionParams,
    TimeColumn,
    TransactionsMapping,
    Unit,
    check_rows_are_conserved,
    ingest_day,
    recount_file,
)
from pipeline_assets.core.ingestion.correction import ReplayError

DAY = date(2026, 3, 10)
PARAMS = IngestionParams(
    transactions=TransactionsMapping(
        transaction_id="Id",
        event_time=TimeColumn("When", "%d.%m.%Y %H:%M", "Europe/Berlin"),
        amount_cents=AmountColumn("Euro", Unit.MAJOR),
    )
)
HEADER = b"Id,When,customer_id,terminal_id,Euro\n"
ROWS = [b"t1,10.03.2026 10:00,c1,m1,12.34", b'"t2",10.03.2026 11:00,c1,m1,"1,5"', b"t3,12.03.2026 09:00,c1,m1,1",
        b"caf\xe9,10.03.2026 10:00,c1,m1,5", b"ragged"]  # fmt: skip


class Pipeline:
    """A landing zone and a lake, and ingestion between them."""

    def __init__(self, root: Path) -> None:
        self.landing = LandingZone(LocalStorage(root / "landing"))
        self.lake = Lake(LocalStorage(root / "lake"))
        self.root = root

    def ingest(self, day: date) -> None:
        before = [day - timedelta(days=back) for back in range(PARAMS.max_lateness_days, 0, -1)]
        tables = {Feed.TRANSACTIONS: TRANSACTIONS, Feed.CHARGEBACKS: CHARGEBACKS}
        recent = {f: self.lake.read(t, [d for d in before if self.lake.has(t, d)]) for f, t in tables.items()}
        files = self.landing.read_day(day)
        intake = ingest_day(files, recent, day, PARAMS)
        for feed, table in tables.items():
            self.lake.write(table, day, intake.kept[feed])
        self.lake.write(QUARANTINE, day, intake.quarantine)
        self.lake.write(LEDGER, day, intake.ledger)
        finding = check_rows_are_conserved(
            [recount_file(feed, file) for feed in Feed for file in files[feed]],
            {feed: self.lake.read(table, [day]) for feed, table in tables.items()},
            self.lake.read(QUARANTINE, [day]),
            self.lake.read(LEDGER, [day]),
        )
        assert finding.passed, finding.explanation

    def kept(self, day: date) -> dict[str, int]:
        return dict(self.lake.read(TRANSACTIONS, [day], ["transaction_id", "amount_cents"]).rows())

    def export(self, name: str, *reasons: Reason) -> Path:
        export_quarantine(self.lake, self.root / name, Feed.TRANSACTIONS, [DAY], PARAMS, reasons)
        return self.root / name


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    made = Pipeline(tmp_path)
    made.landing.land(Feed.TRANSACTIONS, DAY, "a.csv", HEADER + b"\n".join(ROWS))
    made.landing.land(Feed.TRANSACTIONS, DAY, "broken.parquet", b"PAR1")
    made.ingest(DAY)
    return made


def correct(file: Path, **changes: dict[str, str]) -> Path:
    """Edit an exported csv as a person would: by row number; rows without a change are deleted."""
    with file.open(encoding="utf-8", newline="") as opened:
        rows = [
            row | changes["row_" + row["row_number"]]
            for row in csv.DictReader(opened)
            if "row_" + row["row_number"] in changes
        ]
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return file


def test_what_was_good_is_filled_in_in_our_own_units_and_what_was_received_is_shown(pipeline: Pipeline) -> None:
    rows = [json.loads(line) for line in pipeline.export("fix.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["row_number"] for row in rows] == ["2", "3", "4", "5"]
    assert (rows[0]["transaction_id"], rows[0]["event_time"]) == ("t2", "2026-03-10T10:00:00.000000Z")
    assert (rows[0]["amount_cents"], rows[0]["reasons"], rows[0]["date"]) == (None, "wrong_type", "2026-03-10")
    assert json.loads(rows[0]["received"])["Euro"] == "1,5"
    assert (rows[1]["amount_cents"], rows[1]["reasons"]) == ("100", "in_future")
    assert rows[2]["transaction_id"] is None
    assert json.loads(rows[3]["received"]) == ["ragged"]


def test_a_corrected_row_that_is_replayed_is_kept_and_its_original_stays_counted(pipeline: Pipeline) -> None:
    file = correct(pipeline.export("fix.csv"), row_2={"amount_cents": "150"}, row_4={"transaction_id": "café"})
    (done,) = replay(file, pipeline.landing, Feed.TRANSACTIONS, PARAMS)
    assert (done.day, done.is_new) == (DAY, True)
    pipeline.ingest(DAY)
    assert pipeline.kept(DAY) == {"t1": 1234, "t2": 150, "café": 500}
    assert pipeline.lake.read(QUARANTINE, [DAY])["row_number"].to_list() == [2, 3, 4, 5, None]


def test_replaying_twice_changes_nothing(pipeline: Pipeline) -> None:
    file = correct(pipeline.export("fix.csv"), row_2={"amount_cents": "150"})
    (done,) = replay(file, pipeline.landing, Feed.TRANSACTIONS, PARAMS)
    pipeline.ingest(DAY)
    before = {table.name: pipeline.lake.md5(table, DAY) for table in (TRANSACTIONS, QUARANTINE, LEDGER)}
    (again,) = replay(file, pipeline.landing, Feed.TRANSACTIONS, PARAMS)
    assert (again.day, again.name, again.is_new) == (done.day, done.name, False)
    pipeline.ingest(DAY)
    assert before == {table.name: pipeline.lake.md5(table, DAY) for table in (TRANSACTIONS, QUARANTINE, LEDGER)}


def test_a_row_that_came_too_early_is_replayed_on_the_first_day_that_takes_it(pipeline: Pipeline) -> None:
    file = correct(pipeline.export("fix.csv", Reason.IN_FUTURE), row_3={})
    (done,) = replay(file, pipeline.landing, Feed.TRANSACTIONS, PARAMS)
    assert done.day == date(2026, 3, 12)
    pipeline.ingest(done.day)
    assert pipeline.kept(done.day) == {"t3": 100}


def test_the_day_may_be_chosen_within_the_lateness_and_a_second_day_adds_nothing(pipeline: Pipeline) -> None:
    file = correct(pipeline.export("fix.csv"), row_2={"amount_cents": "150"})
    for day in (DAY + timedelta(days=2), DAY + timedelta(days=7)):
        (done,) = replay(file, pipeline.landing, Feed.TRANSACTIONS, PARAMS, day)
        assert done.day == day
        pipeline.ingest(day)
    assert pipeline.kept(DAY + timedelta(days=2)) == {"t2": 150}
    assert pipeline.kept(DAY + timedelta(days=7)) == {}
    with pytest.raises(ReplayError, match="row 1: time: expected one that may arrive on 2026-03-18, found 2026-03-10"):
        replay(file, pipeline.landing, Feed.TRANSACTIONS, PARAMS, DAY + timedelta(days=8))


def test_a_row_that_is_still_wrong_is_refused_and_nothing_lands(pipeline: Pipeline) -> None:
    file = correct(pipeline.export("fix.csv"), row_2={"amount_cents": "1,50"}, row_4={"transaction_id": "café"})
    with pytest.raises(ReplayError, match=r"row 1: amount_cents: expected a whole number .* \(wrong_type\); nothing"):
        replay(file, pipeline.landing, Feed.TRANSACTIONS, PARAMS)
    assert pipeline.landing.list_files(Feed.TRANSACTIONS, DAY) == ["a.csv", "broken.parquet"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"transaction_id, event_time.*\(unreadable\)"),
        (b"transaction_id\nx\n", r"event_time.*\(missing_column\)"),
        (",".join(TRANSACTIONS.columns).encode() + b"\nx,2026-03-10T10:00:00,c,m,1\n", "row 1: date: expected the day"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_correction_is_refused(
    pipeline: Pipeline, tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "fix.csv").write_bytes(content)
    with pytest.raises(ReplayError, match=message):
        replay(tmp_path / "fix.csv", pipeline.landing, Feed.TRANSACTIONS, PARAMS)


def test_every_id_that_looks_like_a_formula_comes_back_from_a_spreadsheet_as_it_was(tmp_path: Path) -> None:
    ids = [
        "=1+1",
        "+49",
        "-5",
        "@sum",
        "'a",
        "''a",
        "'=1",
        "a;=1",
        "a,-1",
        'a"=1',
        "\uff1d1",
        "\uff20x",
        "a|+",
        "|-",
        "=",
        "'",
    ]
    pipeline = Pipeline(tmp_path)
    quoted = ['"' + name.replace('"', '""') + '"' for name in ids]
    rows = "".join(f'{name},10.03.2026 10:00,{name},"+m",oops\n' for name in quoted)
    pipeline.landing.land(Feed.TRANSACTIONS, DAY, "a.csv", HEADER + rows.encode())
    pipeline.ingest(DAY)
    exported = pipeline.export("fix.csv")
    with exported.open(encoding="utf-8", newline="") as opened:
        table = list(csv.reader(opened))
    cells = [cell for row in table for cell in row]
    assert not [cell for cell in cells if cell[:1] in tuple("=+-@\uff1d\uff20\t\r\n")]
    with exported.open("w", encoding="utf-8", newline="") as opened:  # a spreadsheet saves all cells as it showed them
        amount = table[0].index("amount_cents")
        csv.writer(opened, quoting=csv.QUOTE_ALL).writerows(
            [table[0], *([*row[:amount], "100", *row[amount + 1 :]] for row in table[1:])]
        )
    replay(exported, pipeline.landing, Feed.TRANSACTIONS, PARAMS)
    pipeline.ingest(DAY)
    kept = pipeline.lake.read(TRANSACTIONS, [DAY])
    assert sorted(kept["transaction_id"]) == sorted(ids)
    assert sorted(kept["customer_id"]) == sorted(ids)
    assert set(kept["terminal_id"]) == {"+m"}


def test_csv_and_jsonl_exports_replay_to_the_same_file(pipeline: Pipeline) -> None:
    landed = []
    for name in ("fix.csv", "fix.jsonl"):
        exported = pipeline.export(name, Reason.IN_FUTURE)
        (done,) = replay(exported, pipeline.landing, Feed.TRANSACTIONS, PARAMS)
        landed.append((done.day, done.name))
    assert landed[0] == landed[1]


def test_an_apostrophe_that_is_no_mark_is_refused_by_row_and_column(pipeline: Pipeline) -> None:
    file = correct(pipeline.export("fix.csv"), row_2={"amount_cents": "150", "customer_id": "'c1"})
    with pytest.raises(ReplayError, match=r"row 1: customer_id: expected an apostrophe .* twice, found one; nothing"):
        replay(file, pipeline.landing, Feed.TRANSACTIONS, PARAMS)


def test_an_error_of_a_replay_tells_no_value_of_a_row(pipeline: Pipeline, tmp_path: Path) -> None:
    header = ",".join(TRANSACTIONS.columns)
    broken = {
        "a.csv": f"{header},date\nMARKER\n", "b.csv": f"{header},date\nMARKER,MARKER,\tMARKER,x,MARKER,MARKER\n",
        "c.csv": "MARKER,MARKER2,c,d\n", "d.jsonl": '{"transaction_id": "MARKER"', "e.jsonl": '{"MARKER": 1}\n',
        "f.csv": f"{header},date\nMARKER,2026-03-10T10:00:00Z,MARKER,MARKER,1,MARKER\n", "g.jsonl": "MARKER\n",
        "h.csv": f"{header},date\n'MARKER,2026-03-10T10:00:00Z,c,m,1,2026-03-10\n",
    }  # fmt: skip
    for name, content in broken.items():
        (tmp_path / name).write_text(content)
        with pytest.raises(ReplayError, match="nothing was landed") as raised:
            replay(tmp_path / name, pipeline.landing, Feed.TRANSACTIONS, PARAMS)
        assert "MARKER" not in str(raised.value)
        assert "expected" in str(raised.value)


def test_an_export_never_overwrites_corrections_and_knows_its_formats(pipeline: Pipeline) -> None:
    pipeline.export("fix.csv")
    with pytest.raises(ValueError, match="may hold corrections"):
        pipeline.export("fix.csv")
    with pytest.raises(ValueError, match=r"expected a name that ends in \.csv or \.jsonl"):
        pipeline.export("fix.xlsx")
