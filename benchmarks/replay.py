"""The Handbook's April to June, replayed day by day through release, scoring and monitoring, as it was lived.

What landed, and the features, do not depend on decisions: they are made in one go. From then on each day is made alone,
with the models that were there on it. Printed is, week by week, what was known of the accuracy on its last day: that
of the decisions really taken, on the labels that were mature by then.
"""

import tempfile
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.payments import HANDBOOK
from pipeline_assets.adapters.delivery import deliver
from pipeline_assets.adapters.stores import Stores, open_stores
from pipeline_assets.contracts.tables import DRIFT, PERFORMANCE, RELEASE
from pipeline_assets.core.retraining import list_due_weeks
from pipeline_assets.drills.chain import run_decisions, run_inputs, run_weekly
from pipeline_assets.settings import Params, read_params

DAY = timedelta(days=1)
EXAMPLE = Path(__file__).parents[1] / "examples/handbook.yaml"
METRICS = ("maturity_share", "average_precision", "card_precision", "fraud_amount_stopped_share",
           "honest_declined_share")  # fmt: skip


def replay(stores: Stores, params: Params) -> list[date]:
    """Live through the days one after the other; gives them."""
    first, last = params.history_start, params.history_end
    assert first is not None
    assert last is not None
    deliver(HANDBOOK, stores.landing, params.ingestion, first, last)
    run_inputs(stores, params, first, last)
    days = [first + number * DAY for number in range((last - first).days + 1)]
    weeks = days[-(-params.first_model_after_days // 7) * 7 :: 7]
    due = set(list_due_weeks(weeks, params.retraining))
    for day in days:
        if day in due:
            run_weekly(stores, params, day, day)
        run_decisions(stores, params, day, day)
    return days


def describe(stores: Stores, day: date) -> dict[str, Any]:
    """What was known at the end of a day."""
    table = stores.lake.read(PERFORMANCE, [day]).filter(scope="all")
    metrics = {metric: value for _, metric, value in table.iter_rows()}
    release = stores.lake.read(RELEASE, [day])
    deciding = {part: f"{model or ''} {share:.0%}".strip() for part, model, share, _ in release.iter_rows() if share}
    on_trial = release.filter(pl.col("part").is_in(["shadow", "canary"]))["model_version"].to_list()
    drifted = stores.lake.read(DRIFT, [day]).filter(metric="is_drifted", value=1.0)["subject"].to_list()
    return {
        "known on": day,
        "decides": ", ".join(f"{part} {told}" for part, told in deciding.items()),
        "on trial": ", ".join(on_trial),
        **{name: metrics.get(name) for name in METRICS},
        "drifted": len(drifted),
    }


def main() -> None:
    """Print what was known of each week, and every change of the release with its reason."""
    params = read_params(EXAMPLE)
    with tempfile.TemporaryDirectory() as folder:
        stores = open_stores(folder)
        days = replay(stores, params)
        with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=220, fmt_str_lengths=60, float_precision=3,
                       tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True):  # fmt: skip
            print(pl.DataFrame([describe(stores, day) for day in days[6::7]], infer_schema_length=None))
        for entry in stores.release_log.entries():
            if entry.action != "hold":
                print(f"{entry.as_of} {entry.action}: {entry.reason}")


if __name__ == "__main__":
    main()
