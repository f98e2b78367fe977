"""Performance of decisions, against numbers counted by hand."""

from datetime import UTC, date, datetime, timedelta

import polars as pl

from pipeline_assets.contracts.tables import PERFORMANCE
from pipeline_assets.core.performance import PerformanceParams, measure_decisions

DAY = date(2026, 1, 14)  # the period of 7 days is January 1 to 7
PARAMS = PerformanceParams(window_days=7)


def payment(name: str, day: int, score: float, decision: str, amount: int = 100, late: int = 0) -> dict[str, object]:
    return {
        "transaction_id": name,
        "event_time": datetime(2026, 1, day, 12, tzinfo=UTC),
        "customer_id": f"c{name}",
        "terminal_id": "m",
        "amount_cents": amount,
        "arrival_date": date(2026, 1, day) + timedelta(days=late),
        "score": score,
        "decision": decision,
        "model_version": "one",
        "rung": "champion",
    }


PAYMENTS = [
    payment("a", 1, 0.9, "decline", 300),
    payment("b", 2, 0.8, "review", 100),
    payment("c", 3, 0.1, "approve", 600),
    payment("d", 4, 0.7, "decline"),
    payment("e", 7, 0.2, "approve"),
    payment("f", 8, 0.9, "decline"),  # not mature
    payment("g", 7, 0.9, "decline", late=7),  # arrived on the last day that is known
    payment("h", 7, 0.9, "decline", late=8),  # arrived after it
]


def reports(names: str, day: int = 10) -> pl.DataFrame:
    moment = datetime(2026, 1, day, tzinfo=UTC)
    rows = [{"transaction_id": name, "reported_at": moment, "arrival_date": moment.date()} for name in names]
    return pl.DataFrame(
        rows, {"transaction_id": pl.String, "reported_at": pl.Datetime("us", "UTC"), "arrival_date": pl.Date}
    )


def measure(names: str, day: int = 10, scope: str = "all") -> dict[str, float | None]:
    decided = pl.DataFrame(PAYMENTS, schema_overrides={"event_time": pl.Datetime("us", "UTC")})
    table = measure_decisions(decided, reports(names, day), DAY, PARAMS, top_cards=2)
    assert tuple(table.columns) == PERFORMANCE.columns
    return {metric: value for found, metric, value in table.iter_rows() if found == scope}


def test_counts_and_shares_are_those_of_the_mature_payments() -> None:
    metrics = measure("abc")
    assert (metrics["n_payments"], metrics["n_frauds"]) == (6, 3)
    assert metrics["maturity_share"] == 6 / 7
    assert (metrics["declined_share"], metrics["reviewed_share"]) == (3 / 6, 1 / 6)
    assert metrics["honest_declined_share"] == 2 / 3
    assert metrics["fraud_stopped_share"] == 2 / 3
    assert metrics["fraud_amount_stopped_share"] == 400 / 1000


def test_each_rung_and_model_has_its_own_numbers() -> None:
    assert measure("abc", scope="rung:champion") == measure("abc", scope="model:one") == measure("abc")


def test_a_report_that_comes_after_the_day_is_not_known() -> None:
    assert measure("abc", day=15)["n_frauds"] == 0


def test_what_is_undefined_is_null() -> None:
    metrics = measure("")
    assert metrics["n_payments"] == 6
    undefined = ("average_precision", "roc_auc", "card_precision", "fraud_stopped_share", "fraud_amount_stopped_share")
    assert all(metrics[name] is None for name in undefined)
