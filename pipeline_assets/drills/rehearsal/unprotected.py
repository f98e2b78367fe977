"""The other arm: the same world, models and faults, but a new model decides for all at once, and nothing is watched."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import polars as pl

from pipeline_assets.adapters.serving import GuardedModel
from pipeline_assets.core.costs import DECISIONS, choose_decisions
from pipeline_assets.core.fraud_model import Floats, ModelInputs, ModelTimeoutError
from pipeline_assets.drills.rehearsal.direction import Birth, Cause, Scene
from pipeline_assets.drills.rehearsal.faulty_models import Fault, FaultyModel
from pipeline_assets.drills.rehearsal.play import Lived, read_payments
from pipeline_assets.drills.rehearsal.scenario import Part, Scenario, list_days
from pipeline_assets.settings import Params

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class Reign:
    """Days on which one model decides for everybody, and what is wrong with it then."""

    version: str
    first: date
    last: date
    fault: Fault | None = None


def list_reigns(lived: Lived, last: date) -> list[Reign]:
    """Who decides up to ``last`` where nothing is watched: always the newest model, but for those that drift asked for.

    A new model that goes wrong does so on the day after it decided for the first time, as in the protected arm; a
    champion that goes wrong there does so here on the same days, if it decides.
    """
    births = [birth for birth in lived.births if birth.cause is not Cause.DRIFT]
    ends = [birth.day - _DAY for birth in births[1:]] + [last]
    return [
        reign
        for birth, end in zip(births, ends, strict=True)
        for reign in _split(birth, end, lived.scenes, lived.faults.get(birth.version))
    ]


def decide_unprotected(scenario: Scenario, lived: Lived) -> pl.DataFrame:
    """What would have been decided: transaction_id, score, decision, model_version, rung, in the order of the payments.

    A score that is no number approves, because no comparison with it is true; so does an answer that comes too late,
    because the payment does not wait.
    """
    frames = []
    for reign in list_reigns(lived, scenario.last_day):
        payments = read_payments(lived.stores, list_days(reign.first, reign.last))
        scores = _ask(lived, reign, payments, scenario.params)
        choice = choose_decisions(np.nan_to_num(scores), payments["amount_cents"].to_numpy(), scenario.params.decision)
        frames.append(
            payments.select(
                "transaction_id",
                score=pl.Series(np.nan_to_num(scores)),
                decision=pl.Series([DECISIONS[one] for one in choice], dtype=pl.String),
                model_version=pl.lit(reign.version),
                rung=pl.lit("champion"),
            )
        )
    return pl.concat(frames)


def _ask(lived: Lived, reign: Reign, payments: pl.DataFrame, params: Params) -> Floats:
    model = lived.stores.models.load(reign.version)
    inputs = ModelInputs(payments).fill_for(model)
    if reign.fault is None:
        return model.predict(inputs)
    try:
        return GuardedModel(FaultyModel(model, reign.fault), params.serving).predict(inputs)
    except ModelTimeoutError:
        return np.zeros(len(inputs))


def _split(birth: Birth, last: date, scenes: Sequence[Scene], fault: Fault | None) -> Iterator[Reign]:
    """The reign of a model in parts, in each of which it is wrong or it is not."""
    wrong = [scene for scene in scenes if scene.version == birth.version and scene.wrong_since is not None]
    days = list_days(birth.day, last)
    if fault is None or not wrong or not days:
        if days:
            yield Reign(birth.version, birth.day, last)
        return
    is_wrong = [any(_is_wrong(scene, birth, day) for scene in wrong) for day in days]
    first = 0
    for number in range(1, len(days) + 1):
        if number == len(days) or is_wrong[number] != is_wrong[first]:
            yield Reign(birth.version, days[first], days[number - 1], fault if is_wrong[first] else None)
            first = number


def _is_wrong(scene: Scene, birth: Birth, day: date) -> bool:
    if scene.act.part is Part.CHAMPION:
        return scene.is_wrong(day)
    return day > birth.day
