import struct
from dataclasses import replace
from datetime import date, timedelta

import polars as pl

from pipeline_assets.core.evaluation import Evaluation
from pipeline_assets.core.plots import plot_performance, plot_precision_recall


def evaluation(average_precision: float) -> Evaluation:
    return Evaluation(
        first=date(2026, 3, 1), last=date(2026, 3, 7), n_rows=10, n_removed=0, n_known_cards=0, n_frauds=2, n_cards=5,
        roc_auc=0.9, average_precision=average_precision, card_precision=0.1, card_precision_reachable=0.2, brier=0.1,
        log_loss=0.2, calibration_error=0.1, calibration=((0.1, 0.2, 10),),
        curve=((0.0, 1.0), (0.5, average_precision), (1.0, 0.2)),
    )  # fmt: skip


def test_the_same_numbers_give_the_same_png_and_others_another() -> None:
    png = plot_precision_recall({"candidate": evaluation(0.6), "rules": evaluation(0.3)})
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", png[16:24]) == (600, 400)
    assert png == plot_precision_recall({"candidate": evaluation(0.6), "rules": evaluation(0.3)})
    assert png != plot_precision_recall({"candidate": evaluation(0.7), "rules": evaluation(0.3)})
    other_curve = replace(evaluation(0.6), curve=((0.0, 1.0), (1.0, 0.2)))
    assert png != plot_precision_recall({"candidate": other_curve, "rules": evaluation(0.3)})


def test_no_evaluation_gives_an_empty_plot() -> None:
    assert plot_precision_recall({})[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_performance_of_other_days_gives_another_png_and_none_an_empty_one() -> None:
    days = [date(2026, 3, 1) + timedelta(days=number) for number in range(3)]
    table = pl.DataFrame(
        {
            "date": days,
            "average_precision": [0.5, None, 0.7],
            "fraud_amount_stopped_share": [0.9, 0.8, 0.7],
            "honest_declined_share": [0.0, 0.01, 0.0],
        }
    )
    png = plot_performance(table)
    assert png == plot_performance(table)
    assert png != plot_performance(table.head(2))
    assert plot_performance(table.clear())[:8] == b"\x89PNG\r\n\x1a\n"
