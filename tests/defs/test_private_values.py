"""Values of cards and persons stay in the landing zone and in the lake: no log, event, alert or record has them."""

import io
import json
import logging
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from pipeline_assets.adapters.alerts import Alerts
from pipeline_assets.adapters.storage import within
from pipeline_assets.commands.chains import ChainFailedError
from pipeline_assets.contracts.tables import QUARANTINE, TRANSACTIONS
from pipeline_assets.contracts.vocabularies import Feed
from pipeline_assets.core.ingestion import DayIntake, ingest_day
from tests.defs.conftest import START, Pipeline, open_pipeline

MARKER = "MARKER7Q"
AMOUNT = 7_391_846_205  # in cents: a number that nothing else has
COLUMNS = TRANSACTIONS.columns
ROW = (f"t-{MARKER}", f"{START}T10:00:00Z", f"c-{MARKER}", f"m-{MARKER}", AMOUNT)
MALFORMED: tuple[tuple[Any, ...], ...] = (
    (f"t-{MARKER}-1", f"{START}T10:00:60Z{MARKER}", f"c-{MARKER}", "m", AMOUNT),
    (f"{MARKER}\u2028", f"{START}T10:00:00Z", f"{MARKER * 20}", "m", -AMOUNT),
    (f"t-{MARKER}-2", f"{START}T10:00:00Z", f" {MARKER}", "m", f"{MARKER},5"),
    (f"t-{MARKER}", f"{START}T11:00:00Z", f"c-{MARKER}", "m", AMOUNT),  # the id of the good row
    (f"t-{MARKER}-3", "2026-03-10T10:00:00Z", f"c-{MARKER}", "m", AMOUNT),  # in the future
)


def land(root: Path) -> None:
    frame = pl.DataFrame([tuple(map(str, row)) for row in (ROW, *MALFORMED)], list(COLUMNS), orient="row")
    typed = pl.DataFrame({name: [value] * 2 for name, value in zip(COLUMNS, ROW, strict=True)})
    buffer = io.BytesIO()
    typed.with_columns(amount_cents=pl.Series([float("nan"), AMOUNT + 0.5])).write_parquet(buffer)
    files = {
        "transactions/a.csv": frame.write_csv().encode(),
        "transactions/b.jsonl": frame.write_ndjson().encode() + f'{{"{MARKER}": 1}}\n{MARKER}\n["{MARKER}'.encode(),
        "transactions/c.parquet": buffer.getvalue(),
        "transactions/d.csv": f"{MARKER},{MARKER}-2\nx,y\n".encode(),
        "transactions/e.csv": ",".join(COLUMNS).encode() + f"\n{MARKER}\n{MARKER}\xe9,,,,\n".encode("latin-1"),
        "transactions/f.parquet": b"PAR1" + MARKER.encode(),
        "chargebacks/a.csv": f"transaction_id,reported_at\n{MARKER},{MARKER}\n{MARKER}-9,{START}T12:00:00Z\n".encode(),
    }
    for name, content in files.items():
        feed, _, file = name.partition("/")
        path = root / "landing" / feed / f"{START}" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def open_alerts(pipeline: Pipeline) -> Alerts:
    """What every sensor that can alert has to say of the day."""
    alerts = Alerts(within(pipeline.stores.root, "alerts"), [])
    for sensor in ("partition_failed", "partition_late"):
        definition = pipeline.definitions.resolve_sensor_def(sensor)
        known: dict[str, Any] = {"stores": pipeline.stores, "alerts": alerts}
        with pipeline.instance() as instance:
            context = dg.build_sensor_context(
                instance=instance,
                resources={name: known[name] for name in definition.required_resource_keys},
                definitions=pipeline.definitions,
            )
            definition.evaluate_tick(context)
    return alerts


def find_leaks(root: Path, said: str) -> list[str]:
    """Where a value is that only the landing zone and the tables of the lake may hold."""
    values = (MARKER.encode(), str(AMOUNT).encode())
    files = {path.relative_to(root): path for path in root.rglob("*") if path.is_file()}
    held = {name: path.read_bytes() for name, path in files.items() if name.parts[0] not in ("landing", "lake")}
    leaks = [str(name) for name, content in held.items() if any(value in content for value in values)]
    return leaks + ["what was said"] * any(value.decode() in said for value in values)


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    land(tmp_path / "root")
    return open_pipeline(tmp_path / "root", monkeypatch)


def test_malformed_rows_of_every_format_are_nowhere_but_in_quarantine(
    pipeline: Pipeline, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ChainFailedError) as raised:  # too many are malformed: the day is held
        pipeline.chains.run_daily(("ingestion", "features"), START, START)
    alerts = open_alerts(pipeline)
    quarantine = pipeline.stores.lake.read(QUARANTINE, [START])
    assert MARKER in json.dumps(quarantine.to_dicts(), default=str)  # there it belongs
    assert pipeline.stores.lake.read(TRANSACTIONS, [START])["customer_id"].to_list() == [f"c-{MARKER}"]
    assert alerts.list_open() != []
    output = capfd.readouterr()
    assert find_leaks(pipeline.root, "".join((caplog.text, output.out, output.err, str(raised.value)))) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda kept: pl.concat([kept, kept]),  # a key twice
        lambda kept: kept.with_columns(amount_cents=-pl.col("amount_cents"), customer_id=pl.lit(MARKER * 20)),
        lambda kept: kept.with_columns(amount_cents=pl.col("amount_cents").cast(pl.String) + MARKER),
    ],
)
def test_a_broken_contract_names_no_value_neither_in_the_error_nor_in_its_causes(
    pipeline: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    spoil: Any,
) -> None:
    caplog.set_level(logging.DEBUG)

    def ingest_wrongly(*arguments: Any) -> DayIntake:
        """Stand for a bug of ours: what it makes goes the real way to the contract."""
        intake = ingest_day(*arguments)
        kept = {**intake.kept, Feed.TRANSACTIONS: spoil(intake.kept[Feed.TRANSACTIONS])}
        return DayIntake(kept, intake.quarantine, intake.ledger)

    monkeypatch.setattr("pipeline_assets.adapters.stages.ingestion.ingest_day", ingest_wrongly)
    with pytest.raises(ChainFailedError) as raised:
        pipeline.chains.run_daily(("ingestion",), START, START)
    open_alerts(pipeline)
    with pipeline.instance() as instance:
        (record,) = instance.get_run_records()
        events = [dg.serialize_value(entry) for entry in instance.all_logs(record.dagster_run.run_id)]
    assert any("breaks its contract" in event for event in events)
    output = capfd.readouterr()
    said = "".join((caplog.text, output.out, output.err, str(raised.value), *events))
    assert find_leaks(pipeline.root, said) == []


def test_what_is_looked_for_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "alerts").mkdir()
    (tmp_path / "alerts" / "a.json").write_text(f"{datetime(2026, 1, 1, tzinfo=UTC)} {MARKER}")
    assert find_leaks(tmp_path, f"{date(2026, 1, 1)} {AMOUNT}") == ["alerts/a.json", "what was said"]
