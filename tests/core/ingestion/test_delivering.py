"""A foreign file by the days of its rows, at the ends of the calendar."""

from datetime import date

from pipeline_assets.core.ingestion import IngestionParams, LabelColumn, TransactionsMapping
from pipeline_assets.core.ingestion.delivering import split_by_day

PARAMS = IngestionParams(
    transactions=TransactionsMapping(ignored_columns=("fraud",)), labels=LabelColumn("fraud", report_delay_days=7)
)
HEADER = b"transaction_id,event_time,customer_id,terminal_id,amount_cents,fraud\n"


def test_a_report_that_would_come_after_year_9999_does_not_stop_the_others() -> None:
    rows = b"a,9999-12-30T10:00:00Z,c,m,1,1\nb,9999-12-24T23:59:59.999999Z,c,m,1,1\nc,2026-01-01T10:00:00Z,c,m,1,1\n"
    split = split_by_day("x.csv", HEADER + rows, PARAMS)
    assert sum(split.rows.values()) == 3
    assert sorted(split.chargebacks) == [date(2026, 1, 8), date(9999, 12, 31)]
