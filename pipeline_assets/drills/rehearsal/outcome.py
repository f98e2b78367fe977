"""A rehearsal, and what came of it: each event in both arms, and which of what was expected came true."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import polars as pl

from pipeline_assets.contracts.tables import SCORES, TRANSACTIONS
from pipeline_assets.contracts.vocabularies import ReleaseAction, Rung
from pipeline_assets.core.release import ReleaseEntry
from pipeline_assets.drills.rehearsal.accounts import (
    Recovery,
    Toll,
    find_recovery,
    keep_accounts,
    measure_weeks,
    take_toll,
    take_toll_of_pattern,
)
from pipeline_assets.drills.rehearsal.direction import Birth, Scene
from pipeline_assets.drills.rehearsal.play import Lived, Say, live, read_payments
from pipeline_assets.drills.rehearsal.scenario import NEW_PATTERN, Act, Part, Scenario, list_days
from pipeline_assets.drills.rehearsal.unprotected import Reign, decide_unprotected, list_reigns

_DAY: Final = timedelta(days=1)
_REACTIONS: Final = (ReleaseAction.ROLL_BACK, ReleaseAction.END_TRIAL, ReleaseAction.FAIL_OVER)


@dataclass(frozen=True)
class Event:
    """Something that happened, in both arms.

    Attributes:
        act: What.
        version: The model that it is about; None for a new pattern.
        began: When: the fault, the pattern, or the trial of a sound challenger.
        answered: From when on it was answered; None where it was not.
        answer: How.
        aftermath: What came of it later; empty where nothing did.
        protected: What it did.
        unprotected: What it did where nothing is watched.
        scene: How it was played; None for a new pattern.
    """

    act: Act
    version: str | None
    began: date | None
    answered: date | None
    answer: str
    aftermath: str
    protected: Toll
    unprotected: Toll
    scene: Scene | None = None

    @property
    def n_days_to_detect(self) -> int | None:
        """Days from the beginning to the answer."""
        return None if self.began is None or self.answered is None else (self.answered - self.began).days


@dataclass(frozen=True)
class Outcome:
    """What came of a rehearsal.

    Attributes:
        scenario: What was rehearsed.
        lived: The protected arm.
        events: In the order in which they happened.
        weeks: By arm, payments, frauds, average precision and cost of each week.
        recovery: By arm, how average precision went after the new pattern; empty without one.
        story: What was said meanwhile.
    """

    scenario: Scenario
    lived: Lived
    events: Sequence[Event]
    weeks: dict[str, pl.DataFrame]
    recovery: dict[str, Recovery]
    story: Sequence[str]


def rehearse(scenario: Scenario, folder: Path, say: Say) -> Outcome:
    """Let a scenario happen with and without protection, below ``folder``, which is empty."""
    story: list[str] = []

    def tell(line: str) -> None:
        story.append(line)
        say(line)

    lived = live(scenario, folder, tell)
    say("the same models and faults without protection ...")
    decision = scenario.params.decision
    payments = lived.stores.lake.read(TRANSACTIONS, scenario.days)
    decided = {
        "protected": lived.stores.lake.read(SCORES, scenario.days),
        "unprotected": decide_unprotected(scenario, lived),
    }
    accounts = {arm: keep_accounts(one, payments, lived.truth, decision) for arm, one in decided.items()}
    events = [_account_for(scenario, lived, scene, accounts) for scene in lived.scenes]
    recovery = {}
    if scenario.pattern_day is not None:
        events.append(_account_for_pattern(scenario.pattern_day, lived, accounts))
        recovery = {arm: find_recovery(one, scenario.pattern_day, scenario.last_day) for arm, one in accounts.items()}
    weeks = {arm: measure_weeks(one, scenario.first_week) for arm, one in accounts.items()}
    return Outcome(scenario, lived, events, weeks, recovery, story)


def find_pattern_model(lived: Lived, pattern_day: date) -> tuple[Birth | None, date | None]:
    """The first model that was trained because of drift since a day, and from when on a model born since decides."""
    asked = {week for day, week in lived.requests if day >= pattern_day}
    birth = next((one for one in lived.births if one.week in asked), None)
    if birth is None:
        return None, None
    knowing = {one.version for one in lived.births if one.week >= birth.week}
    promoted = (one for one in lived.entries if one.champion in knowing)
    return birth, next((one.as_of for one in promoted), None)


def list_unexpected(lived: Lived) -> list[ReleaseEntry]:
    """The entries that took a sound model out of traffic, or out of its trial because of a loss."""
    expected = {entry.sequence for scene in lived.scenes for entry in scene.entries}
    harsh = (ReleaseAction.ROLL_BACK, ReleaseAction.FAIL_OVER)
    return [entry for entry in lived.entries if entry.action in harsh and entry.sequence not in expected]


def _account_for(scenario: Scenario, lived: Lived, scene: Scene, accounts: dict[str, pl.DataFrame]) -> Event:
    began = scene.wrong_since or scene.first
    answer = next((entry for entry in scene.entries if entry.action in _REACTIONS), None)
    if answer is None and scene.act.wrong is None:
        answer = next((entry for entry in scene.entries if entry.action is ReleaseAction.PROMOTE), None)
    back = scene.find_day(ReleaseAction.FAIL_BACK)
    tolls = {"protected": Toll(), "unprotected": Toll()}
    if scene.version is not None and scene.wrong_since is not None:
        reigns = [one for one in list_reigns(lived, scenario.last_day) if one.version == scene.version and one.fault]
        protected, unprotected = accounts["protected"], accounts["unprotected"]
        tolls["protected"] = _take_toll(scenario, lived, scene.version, protected.filter(_find_wrong(scene)))
        tolls["unprotected"] = _take_toll(scenario, lived, scene.version, unprotected.filter(_find_reigned(reigns)))
        if scene.act.part is Part.CHAMPION:  # what the backup costs more than a sound champion is lost, too
            instead = _take_toll(scenario, lived, scene.version, protected.filter(_find_stand_in(scene)))
            lost = tolls["protected"].lost_cents + instead.lost_cents
            tolls["protected"] = replace(tolls["protected"], lost_cents=lost)
    return Event(
        act=scene.act,
        version=scene.version,
        began=began,
        answered=answer.as_of if answer else None,
        answer=str(answer.action) if answer else "none",
        aftermath=f"fail_back on {back}" if back else "",
        protected=tolls["protected"],
        unprotected=tolls["unprotected"],
        scene=scene,
    )


def _take_toll(scenario: Scenario, lived: Lived, version: str, rows: pl.DataFrame) -> Toll:
    days = rows["day"].unique().sort().to_list()
    sound = lived.stores.models.load(version)
    return take_toll(rows, read_payments(lived.stores, days), sound, scenario.params.decision) if days else Toll()


def _find_wrong(scene: Scene) -> pl.Expr:
    """The payments that a model decided on while it was wrong."""
    is_in_time = pl.col("day").is_between(scene.wrong_since, scene.wrong_until or date.max)
    return (pl.col("model_version") == scene.version) & is_in_time


def _find_stand_in(scene: Scene) -> pl.Expr:
    """The payments that the backup decided on in the place of a champion."""
    until = scene.last - _DAY if scene.last else date.max
    return (pl.col("rung") == Rung.BACKUP) & pl.col("day").is_between(scene.wrong_since, until)


def _find_reigned(reigns: Sequence[Reign]) -> pl.Expr:
    days = [day for reign in reigns for day in list_days(reign.first, reign.last)]
    return pl.col("day").is_in(days)


def _account_for_pattern(pattern_day: date, lived: Lived, accounts: dict[str, pl.DataFrame]) -> Event:
    alarm = next((one for one in lived.alarms if one.day >= pattern_day), None)
    birth, champion_since = find_pattern_model(lived, pattern_day)
    told = [f"{birth.version} trained on {birth.day}"] if birth else []
    told += [f"it or a newer one champion since {champion_since}"] if champion_since else []
    return Event(
        act=NEW_PATTERN,
        version=None,
        began=pattern_day,
        answered=alarm.day + _DAY if alarm else None,
        answer="drift" if alarm else "none",
        aftermath="; ".join(told),
        protected=take_toll_of_pattern(accounts["protected"]),
        unprotected=take_toll_of_pattern(accounts["unprotected"]),
    )
