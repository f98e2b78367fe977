"""The protected arm: the real stages of the pipeline, day by day, on a data root, with models that go wrong on cue."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import polars as pl

from pipeline_assets.adapters.stages.drift import measure_drift
from pipeline_assets.adapters.stages.health import measure_models
from pipeline_assets.adapters.stages.release import release_models
from pipeline_assets.adapters.stages.scoring import score
from pipeline_assets.adapters.storage import within
from pipeline_assets.adapters.stores import Stores, open_stores
from pipeline_assets.contracts.tables import CUSTOMER_FEATURES_TABLE, DRIFT, TERMINAL_FEATURES_TABLE, TRANSACTIONS
from pipeline_assets.contracts.vocabularies import ReleaseAction
from pipeline_assets.core.drift import Response, Verdicts, decide_response, read_verdicts
from pipeline_assets.core.fraud_model import Floats, ModelInputs
from pipeline_assets.core.release import ReleaseEntry
from pipeline_assets.core.scoring import join_features
from pipeline_assets.drills.chain import run_inputs, run_weekly, simulate
from pipeline_assets.drills.rehearsal.direction import Birth, Direction, Scene
from pipeline_assets.drills.rehearsal.faulty_models import (
    Constant,
    Fault,
    FaultyModels,
    Inverted,
    MixedUp,
    Noisy,
    NoNumber,
    Slow,
    Wrong,
    make_noisy,
)
from pipeline_assets.drills.rehearsal.scenario import (
    LOST_SHARE,
    MIXED_UP_SHARE,
    SLOW_FACTOR,
    START,
    Scenario,
    list_days,
)
from pipeline_assets.simulator.params import FraudPattern
from pipeline_assets.simulator.world import World

_DAY: Final = timedelta(days=1)
_LOOKED_BACK: Final = timedelta(days=28)  # at verdicts on drift
_USUAL_DAYS: Final = 7  # whose scores stand in for those that are mixed up
Say = Callable[[str], None]


@dataclass(frozen=True)
class Alarm:
    """Drift that was found for long enough to be answered, as it was first said."""

    day: date
    response: Response


@dataclass(frozen=True)
class Lived:
    """What happened in the protected arm.

    Attributes:
        stores: Everything that was made.
        truth: transaction_id, is_fraud, is_new_pattern: of every payment, known to the world alone.
        scenes: The acts as they were played.
        births: The models that were trained.
        entries: The release log.
        alarms: Drift, each time that it began.
        requests: Trainings that drift asked for: the day, and the week it asked for.
        faults: What was wrong with a model, by version.
    """

    stores: Stores
    truth: pl.DataFrame
    scenes: Sequence[Scene]
    births: Sequence[Birth]
    entries: Sequence[ReleaseEntry]
    alarms: Sequence[Alarm]
    requests: Sequence[tuple[date, date]]
    faults: dict[str, Fault]


def live(scenario: Scenario, folder: Path, say: Say) -> Lived:
    """Let a scenario happen on a data root below ``folder``, which is empty; ``say`` hears what happens."""
    play = _Play(scenario, folder, say)
    for day in scenario.days:
        play.live(day)
    return play.conclude()


def read_payments(stores: Stores, days: Sequence[date]) -> pl.DataFrame:
    """The payments of ``days`` with their features."""
    payments = stores.lake.read(TRANSACTIONS, days)
    features = (stores.lake.read(table, days) for table in (CUSTOMER_FEATURES_TABLE, TERMINAL_FEATURES_TABLE))
    return join_features(payments, *features)


class _Play:
    def __init__(self, scenario: Scenario, folder: Path, say: Say) -> None:
        self._scenario = scenario
        self._params = scenario.params
        self._say = say
        self._stores = open_stores(str(folder))
        self._models = FaultyModels(within(self._stores.root, "models"))
        self._served = replace(self._stores, models=self._models)
        self._direction = Direction(scenario)
        self._faults: dict[str, Fault] = {}
        self._verdicts: dict[date, Verdicts] = {}
        self._alarms: list[Alarm] = []
        self._requests: list[tuple[date, date]] = []
        last = scenario.last_day
        simulation = self._params.simulation
        say(f"{simulation.n_customers} customers, {START} to {last}: payments and features ...")
        simulate(self._stores, self._params, START, last)
        run_inputs(self._stores, self._params, START, last)
        truth = World(simulation.make_world(START)).simulate(START, last).truth
        self._truth = truth.select(
            "transaction_id",
            is_fraud=pl.col("fraud_pattern") != FraudPattern.NONE,
            is_new_pattern=pl.col("fraud_pattern") == FraudPattern.CARD_TESTING,
        )

    def live(self, day: date) -> None:
        """One day of the pipeline, and what goes wrong on it."""
        if day == self._scenario.pattern_day:
            self._say(f"{day}  * a new fraud pattern begins")
        self._train(day)
        struck = self._direction.strike(day)
        if struck is not None and struck.version is not None and struck.act.wrong is not None:
            self._faults[struck.version] = self._make_fault(struck.act.wrong, struck.version, day)
            self._say(f"{day}  * {struck.version} goes wrong: {struck.act.title}")
        for scene in self._direction.scenes:
            if scene.version in self._faults and scene.wrong_since is not None:
                self._serve(scene, day)
        self._decide(day)
        entry = self._stores.release_log.entries()[-1]
        self._direction.observe(day, entry)
        if entry.action is not ReleaseAction.HOLD:
            self._say(f"{day}  {entry.action} {_name_share(entry)}: {entry.reason}")
        self._answer_drift(day)

    def conclude(self) -> Lived:
        """What happened."""
        return Lived(
            self._stores, self._truth, self._direction.scenes, self._direction.births,
            self._stores.release_log.entries(), self._alarms, self._requests, self._faults,
        )  # fmt: skip

    def _decide(self, day: date) -> None:
        """The daily chain from the models' health on, but for the accounts of what was decided, which are kept here."""
        served, params = self._served, self._params
        stages = (
            measure_models(served, params.decision, params.rules, params.serving, params.evaluation.top_cards, [day]),
            release_models(served, params.release, [day]),
            score(served, params.decision, params.rules, params.serving, [day]),
            measure_drift(served, params.drift, [day]),
        )
        for stage in stages:  # each does its work when it is asked for what it made
            deque(stage, maxlen=0)

    def _train(self, day: date) -> None:
        requested = self._requests[-1][1] if self._requests else None
        chosen = self._direction.choose_training(day, requested)
        if chosen is None:
            return
        week, cause = chosen
        run_weekly(self._stores, self._params, week, week)
        version = self._stores.models.find(week).version
        self._direction.note_birth(Birth(week, version, cause, day))
        self._say(f"{day}  {version} is trained ({cause})")

    def _serve(self, scene: Scene, day: date) -> None:
        assert scene.version is not None
        if scene.is_wrong(day):
            self._models.begin(scene.version, self._faults[scene.version])
        elif scene.is_wrong(day - _DAY):
            self._models.end(scene.version)
            if scene.last is None:
                self._say(f"{day}  * {scene.version} is repaired")

    def _make_fault(self, wrong: Wrong, version: str, day: date) -> Fault:
        match wrong:
            case Wrong.INVERTED:
                return Inverted()
            case Wrong.CONSTANT:
                return Constant()
            case Wrong.NO_NUMBER:
                return NoNumber()
            case Wrong.SLOW:
                return Slow(SLOW_FACTOR * self._params.serving.min_timeout_seconds)
            case Wrong.MIXED_UP:
                usual = self._predict(version, list_days(day - _USUAL_DAYS * _DAY, day - _DAY))
                return MixedUp(MIXED_UP_SHARE, tuple(usual.tolist()))
            case Wrong.NOISY:
                return self._calibrate(version, day)

    def _calibrate(self, version: str, day: date) -> Noisy:
        """The noise that costs the model its share of average precision in the time in which it is on trial."""
        until = min(day + self._params.release.max_trial_days * _DAY, self._scenario.last_day)
        days = list_days(day, until)
        payments = read_payments(self._stores, days)
        model = self._stores.models.load(version)
        inputs = ModelInputs(payments).fill_for(model)
        labels = payments.join(self._truth, on="transaction_id", how="left", maintain_order="left")["is_fraud"]
        dates = (payments["event_time"].dt.date() - day).dt.total_days().to_numpy()
        fault, sound = make_noisy(
            model.predict(inputs), inputs, labels.to_numpy(), dates, LOST_SHARE, self._params.simulation.seed
        )
        self._say(
            f"{day}  * noise of {fault.deviation:.2f} on its log-odds: average precision {sound:.4f} becomes "
            f"{(1 - LOST_SHARE) * sound:.4f} on the {len(days)} days to come"
        )
        return fault

    def _predict(self, version: str, days: Sequence[date]) -> Floats:
        payments, model = read_payments(self._stores, days), self._stores.models.load(version)
        return model.predict(ModelInputs(payments).fill_for(model))

    def _answer_drift(self, day: date) -> None:
        """What the sensor does: ask for a training where drift has gone on for long enough."""
        self._verdicts[day] = read_verdicts(self._stores.lake.read(DRIFT, [day]))
        latest = {one: found for one, found in self._verdicts.items() if one > day - _LOOKED_BACK}
        trained = [birth.week for birth in self._direction.births]
        requested = self._requests[-1][1] if self._requests else None
        every_weeks = self._params.retraining.every_weeks
        response = decide_response(latest, self._scenario.weeks, trained, requested, every_weeks, self._params.drift)
        if response.subjects and (not self._alarms or self._alarms[-1].response.since != response.since):
            self._alarms.append(Alarm(day, response))
            self._say(f"{day}  drift: {response.reason}")
        if response.week is not None:
            self._requests.append((day, response.week))
            self._say(f"{day}  drift asks for the model of {response.week}")


def _name_share(entry: ReleaseEntry) -> str:
    model = entry.canary or entry.shadow or entry.champion or "the rules"
    return f"{model} at {entry.canary_share:.0%}" if entry.canary else model
