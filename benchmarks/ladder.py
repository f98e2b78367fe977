"""The priced ladder on the Handbook's data: what each step down costs, mean of four held-back weeks of June 2018.

The champion was trained on what was known when the week began, the backup a week before it. Both are the pipeline's:
all mature history and all features. Decisions and money are by the default costs.
"""

from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.payments import read_handbook
from benchmarks.prequential import TOP_CARDS, WEEK, join_all, select_test_week
from pipeline_assets.contracts.vocabularies import Rung
from pipeline_assets.core.costs import DecisionParams
from pipeline_assets.core.features import make_model_inputs
from pipeline_assets.core.fraud_model import FraudModel
from pipeline_assets.core.labels import label_mature_rows
from pipeline_assets.core.ladder import Step, price_ladder
from pipeline_assets.core.rules import RulesParams, score_by_rules
from pipeline_assets.core.training import TrainingParams, train

WEEKS: Final = tuple(date(2018, 6, 3) + number * WEEK for number in range(4))
_SHOWN: Final = ("average_precision", "average_precision_loss", "card_precision", "cost_per_1000_cents")
_LOSS: Final = "cost_loss_per_1000_cents"


def train_as_of(rows: pl.DataFrame, chargebacks: pl.DataFrame, day: date) -> FraudModel:
    """The pipeline's model of what was known before a day."""
    params = TrainingParams()
    model = train(label_mature_rows(rows.drop("is_fraud"), chargebacks, day, params.history_days), params)
    return FraudModel(f"{day}", model.text.decode(), model.card["typical_inputs"])


def price_week(rows: pl.DataFrame, models: dict[date, FraudModel], first: date) -> list[Step]:
    """The ladder of one week."""
    test, champion = select_test_week(rows, first).rows, models[first]

    def score(model: FraudModel) -> npt.NDArray[np.float64]:
        return model.predict(make_model_inputs(test))

    rungs = {
        Rung.CHAMPION: score(champion),
        Rung.BACKUP: score(models[first - WEEK]),
        Rung.RULES: score_by_rules(test, RulesParams()).score,
    }
    history = rows.sort("event_time", "transaction_id")
    return price_ladder(test, history, champion, rungs, DecisionParams(), TOP_CARDS)


def main() -> None:
    """Print the mean of the weeks for each step, and the least and the greatest price in money."""
    transactions, chargebacks = read_handbook()
    rows = join_all(transactions, chargebacks)
    models = {day: train_as_of(rows, chargebacks, day) for day in (WEEKS[0] - WEEK, *WEEKS)}
    weeks = [price_week(rows, models, week) for week in WEEKS]
    print(
        f"mean of {len(weeks)} weeks    average precision    loss  card precision  cost per 1,000   more (least, most)"
    )
    for steps in zip(*weeks, strict=True):
        metrics = [step.as_metrics(week[0]) for step, week in zip(steps, weeks, strict=True)]
        precision, loss, cards, cost = (float(np.mean([one[name] for one in metrics])) for name in _SHOWN)
        more = [one[_LOSS] / 100 for one in metrics]
        print(
            f"{steps[0].name:<27} {precision:>14.4f} {loss:>7.4f} {cards:>15.4f} {cost / 100:>15.2f} "
            f"{float(np.mean(more)):>8.2f} ({min(more):.2f}, {max(more):.2f})"
        )


if __name__ == "__main__":
    main()
