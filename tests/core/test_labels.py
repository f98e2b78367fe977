"""Labels: nothing is known before it was reported and had arrived, and whatever is known too early is found."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_assets.core.labels import check_labels_are_mature, find_test_week, label_mature_rows

AS_OF = date(2026, 3, 29)
MIDNIGHT = datetime(2026, 3, 29, tzinfo=UTC)
DAY = timedelta(days=1)
US = timedelta(microseconds=1)
EDGE = MIDNIGHT - 7 * DAY  # the youngest mature payment is just before this


def payments(*times: datetime, arrived: date | None = None) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "transaction_id": [f"t{number}" for number in range(len(times))],
            "event_time": times,
            "arrival_date": [arrived or time.date() for time in times],
        },
        schema_overrides={"event_time": pl.Datetime("us", "UTC"), "transaction_id": pl.String, "arrival_date": pl.Date},
    )


def reports(*reported: tuple[str, datetime, date]) -> pl.DataFrame:
    return pl.DataFrame(
        [*reported],
        schema={"transaction_id": pl.String, "reported_at": pl.Datetime("us", "UTC"), "arrival_date": pl.Date},
        orient="row",
    )


def test_the_history_ends_with_the_last_mature_payment_and_begins_its_length_before_the_day() -> None:
    frame = payments(MIDNIGHT - 30 * DAY - US, MIDNIGHT - 30 * DAY, EDGE - US, EDGE)
    assert label_mature_rows(frame, reports(), AS_OF, 30)["transaction_id"].to_list() == ["t1", "t2"]


@pytest.mark.parametrize(
    ("reported_at", "arrived", "is_fraud"),
    [
        (MIDNIGHT - US, AS_OF - DAY, True),
        (MIDNIGHT, AS_OF - DAY, False),
        (MIDNIGHT - US, AS_OF, False),
    ],
    ids=["known", "reported too late", "arrived too late"],
)
def test_a_fraud_is_one_whose_report_was_made_and_had_arrived(
    reported_at: datetime, arrived: date, is_fraud: bool
) -> None:
    labelled = label_mature_rows(payments(EDGE - DAY), reports(("t0", reported_at, arrived)), AS_OF, 30)
    assert labelled["is_fraud"].to_list() == [is_fraud]


def test_a_payment_that_arrives_later_is_not_known_yet() -> None:
    assert label_mature_rows(payments(EDGE - DAY, arrived=AS_OF), reports(), AS_OF, 30).is_empty()
    assert label_mature_rows(payments(EDGE - DAY, arrived=AS_OF - DAY), reports(), AS_OF, 30).height == 1


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_what_becomes_known_later_never_changes_an_earlier_training_set(data: st.DataObject) -> None:
    days = data.draw(st.lists(st.integers(-25, 5), min_size=1, max_size=12))
    frame = payments(*(MIDNIGHT + n * DAY for n in days))
    delays = data.draw(st.lists(st.integers(0, 20), min_size=len(days), max_size=len(days)))
    all_reports = reports(
        *((f"t{n}", MIDNIGHT + (d + w) * DAY, AS_OF + (d + w) * DAY) for n, (d, w) in enumerate(zip(days, delays)))  # noqa: B905
    )
    known = label_mature_rows(
        frame.filter(pl.col("arrival_date") < AS_OF), all_reports.filter(pl.col("arrival_date") < AS_OF), AS_OF, 20
    )
    assert known.equals(label_mature_rows(frame, all_reports, AS_OF, 20))
    assert check_labels_are_mature(known, all_reports, AS_OF).passed


@pytest.mark.parametrize(
    ("event_time", "is_fraud", "reported_at", "found"),
    [
        (EDGE, False, None, "immature_rows"),
        (EDGE - DAY, True, MIDNIGHT, "labels_from_the_future"),
        (EDGE - DAY, True, None, "labels_from_the_future"),
        (EDGE - DAY, False, MIDNIGHT - US, "labels_overlooked"),
    ],
)
def test_each_kind_of_leak_is_found(
    event_time: datetime, is_fraud: bool, reported_at: datetime | None, found: str
) -> None:
    good = payments(EDGE - DAY, EDGE - 2 * DAY).drop("arrival_date").with_columns(is_fraud=pl.Series([False, False]))
    assert check_labels_are_mature(good, reports(), AS_OF).passed
    leaky = good.with_columns(event_time=pl.Series([event_time, EDGE - 2 * DAY]), is_fraud=pl.Series([is_fraud, False]))
    chargebacks = reports() if reported_at is None else reports(("t0", reported_at, reported_at.date()))
    finding = check_labels_are_mature(leaky, chargebacks, AS_OF)
    assert not finding.passed
    assert {name for name, count in finding.facts.items() if name != "rows" and count} == {found}


def test_a_model_as_of_the_test_week_has_seen_none_of_it() -> None:
    first = find_test_week(AS_OF)
    assert first == date(2026, 3, 15)
    frame = payments(*(MIDNIGHT - n * DAY for n in range(30)))
    mature = label_mature_rows(frame, reports(), AS_OF, 60)
    held_out = label_mature_rows(frame, reports(), first, 60)
    week = mature.filter(pl.col("event_time").dt.date() >= first)
    assert week["event_time"].dt.date().n_unique() == 7
    assert week.join(held_out, on="transaction_id").is_empty()
