"""The direction: which act is on, which models are trained for it, which is wrong on which day. It runs nothing."""

from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

from pipeline_assets.contracts.vocabularies import ReleaseAction
from pipeline_assets.core.release import ReleaseEntry
from pipeline_assets.core.release.states import read_state
from pipeline_assets.core.retraining import is_due
from pipeline_assets.drills.rehearsal.scenario import Act, Part, Scenario, Strikes

_PATIENCE: Final = timedelta(days=7)  # a model that got no trial by then will get none
_LONGEST_ABSENCE: Final = timedelta(days=49)  # of a champion, after which an act is over whatever happened


class Cause(StrEnum):
    """Why a model was trained."""

    FIRST = "first"
    SCRIPT = "script"  # on demand, for an act
    SCHEDULE = "schedule"
    DRIFT = "drift"


@dataclass(frozen=True)
class Birth:
    """A model that was trained: as of which day, its version, why, and on which day that was done."""

    week: date
    version: str
    cause: Cause
    day: date


@dataclass
class Scene:
    """An act as it is played.

    Attributes:
        act: What happens.
        first: The first day: of the trial, of the fault of a champion, of a new pattern.
        version: The model that it is about.
        wrong_since: The first day on which the model is wrong.
        wrong_until: The last one.
        last: The day on which it was over; None while it goes on.
        entries: The entries of the release log that did something about the model.
    """

    act: Act
    first: date | None = None
    version: str | None = None
    wrong_since: date | None = None
    wrong_until: date | None = None
    last: date | None = None
    entries: list[ReleaseEntry] = field(default_factory=list)

    @property
    def actions(self) -> list[ReleaseAction]:
        """What was done about the model, in order."""
        return [entry.action for entry in self.entries]

    def find_day(self, action: ReleaseAction) -> date | None:
        """The day from which on something that was done about the model is in force."""
        return next((entry.as_of for entry in self.entries if entry.action is action), None)

    def is_wrong(self, day: date) -> bool:
        """Whether the model is wrong on a day."""
        return self.wrong_since is not None and self.wrong_since <= day <= (self.wrong_until or date.max)


class Direction:
    """Tells, day by day and from what the release did up to then, what is to happen next."""

    def __init__(self, scenario: Scenario) -> None:
        """Direct ``scenario``."""
        self._scenario = scenario
        self._entry: ReleaseEntry | None = None  # the latest
        self._tried: set[str] = set()
        self.scenes = [Scene(act) for act in scenario.script]
        self.births: list[Birth] = []

    def choose_training(self, day: date, requested: date | None) -> tuple[date, Cause] | None:
        """Which model is trained in the morning of a day, and why; at most one.

        On demand, the next challenger of the script, once none is on trial. After the script on schedule. What drift
        asked for goes before, because it was asked for.
        """
        trained = {birth.week for birth in self.births}
        if requested is not None and requested not in trained:
            return requested, Cause.DRIFT
        if day not in self._scenario.weeks or day in trained:
            return None
        cause = self._find_cause(day)
        return (day, cause) if cause else None

    def note_birth(self, birth: Birth) -> None:
        """A model was trained."""
        self.births.append(birth)
        scene = self._find_next()
        if birth.cause is Cause.SCRIPT and scene is not None:
            scene.version, scene.first = birth.version, birth.day

    def strike(self, day: date) -> Scene | None:
        """The scene whose model goes wrong in the morning of a day, if one does."""
        scene = self._find_next()
        if scene is None or scene.act.wrong is None or scene.wrong_since is not None or self._entry is None:
            return None
        match scene.act.strikes:
            case Strikes.IN_SHADOW:
                is_ready = scene.version is not None and self._entry.shadow == scene.version
            case Strikes.IN_TRAFFIC:
                is_ready = scene.version is not None and self._entry.canary == scene.version
            case Strikes.AS_CHAMPION:
                is_ready = self._is_calm(day) and self._entry.backup is not None
        if not is_ready:
            return None
        if scene.act.part is Part.CHAMPION:
            scene.version, scene.first = self._entry.champion, day
            scene.wrong_until = day + timedelta(days=scene.act.repaired_after_days - 1)
        scene.wrong_since = day
        return scene

    def observe(self, day: date, entry: ReleaseEntry) -> None:
        """Hear of the release's decision of a day."""
        before, self._entry = self._entry, entry
        self._tried |= {model for model in (entry.champion, entry.shadow, entry.canary) if model}
        scene = self._find_next()
        if scene is None or scene.version is None:
            return
        if entry.action is not ReleaseAction.HOLD and _concerns(scene.version, before, entry):
            scene.entries.append(entry)
        if self._is_refused(scene, day):
            scene.version = scene.first = None  # the next model gets its part
        elif self._is_over(scene, day):
            scene.last = day
            # A model that is out of its trial is taken away; a champion is repaired when it is.
            scene.wrong_until = min(scene.wrong_until or day, day) if scene.wrong_since else None

    def _find_cause(self, week: date) -> Cause | None:
        """Why a model is trained as of a week that begins, unless because of drift."""
        if not self.births:
            return Cause.FIRST
        if week < self._scenario.first_trial:
            return None
        scene = self._find_next()
        if scene is not None and scene.act.part is Part.CHALLENGER and scene.version is None and self._is_calm(week):
            return Cause.SCRIPT
        is_free = scene is None or self._has_new_pattern(week)
        is_due_now = is_due(week, self._scenario.first_week, self._scenario.params.retraining)
        return Cause.SCHEDULE if is_free and is_due_now else None

    def _find_next(self) -> Scene | None:
        """The scene that is on, or the next one."""
        return next((scene for scene in self.scenes if scene.last is None), None)

    def _has_new_pattern(self, day: date) -> bool:
        return self._scenario.pattern_day is not None and day >= self._scenario.pattern_day

    def _is_calm(self, day: date) -> bool:
        """Whether nobody is on trial, or is going to be, and the champion is in its place."""
        if self._entry is None or self._entry.champion is None:
            return False
        waiting = [one for one in self.births if one.version not in self._tried and day - one.day < _PATIENCE]
        return not waiting and read_state(self._entry).challenger is None and not self._entry.is_failed_over

    def _is_refused(self, scene: Scene, day: date) -> bool:
        """Whether a challenger did not get as far as a trial, because its evaluation was against it."""
        last = day + timedelta(days=1)  # before the next week begins
        return scene.first is not None and scene.version not in self._tried and last - scene.first >= _PATIENCE

    def _is_over(self, scene: Scene, day: date) -> bool:
        assert self._entry is not None
        assert scene.first is not None
        state = read_state(self._entry)
        if scene.act.part is Part.CHALLENGER:
            return scene.version in self._tried and state.challenger != scene.version
        has_returned = ReleaseAction.FAIL_OVER in scene.actions and not self._entry.is_failed_over
        return has_returned or day - scene.first >= _LONGEST_ABSENCE


def _concerns(version: str, before: ReleaseEntry | None, entry: ReleaseEntry) -> bool:
    """Whether an entry did something about a model: its part, its share, or that it has failed over, is another."""
    return _describe(version, before) != _describe(version, entry)


def _describe(version: str, entry: ReleaseEntry | None) -> tuple[object, ...]:
    if entry is None or version not in (entry.champion, entry.shadow, entry.canary):
        return ()
    if version == entry.champion:
        return "champion", entry.is_failed_over
    return ("canary", entry.canary_share) if version == entry.canary else ("shadow",)
