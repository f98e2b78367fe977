"""Decisions on the release besides the daily ones: by a person, and at once where the champion is not well.

What holds: an entry comes into force now, is decided from what is in force now, and obeys the state machine; where
another entry comes first, it is decided anew. No model gets traffic that does not load and give probabilities now.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from pipeline_assets.adapters.models import name_version
from pipeline_assets.adapters.release_log import ReleaseLog
from pipeline_assets.adapters.serving import ServedModels
from pipeline_assets.adapters.stages.release import Evidence
from pipeline_assets.adapters.stages.view import View
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.contracts.tables import MODEL_HEALTH, TRAINING_SET
from pipeline_assets.contracts.vocabularies import DecidedBy, ReleaseAction
from pipeline_assets.core.features import make_model_inputs
from pipeline_assets.core.fraud_model import ModelFailedError, ModelTimeoutError, is_probability
from pipeline_assets.core.lineage.recipes import MODEL
from pipeline_assets.core.lineage.records import Key
from pipeline_assets.core.release import ReleaseEntry, ReleaseParams, find_entry_in_force
from pipeline_assets.core.release.evidence import Health, compare_days
from pipeline_assets.core.release.policy import make_entry
from pipeline_assets.core.release.situation import DAY, Metrics, Proposal, Situation, summarise_gains
from pipeline_assets.core.release.states import IllegalTransitionError, State, Transition, read_state
from pipeline_assets.core.release.watch import Accuracy, AccuracyParams, fail_over_at_once, look_at, measure_accuracy
from pipeline_assets.core.serving import ServingParams

BY_HAND: Final = (ReleaseAction.PROMOTE, ReleaseAction.HOLD, ReleaseAction.ROLL_BACK)
_PARTS: Final = ("champion", "backup", "canary", "shadow")  # words that stand for the model that has the part
_PROBED_ROWS: Final = 1000  # of the training set, that a model must be able to score
_COMPARED_DAYS: Final = 28
_SERVING: Final = ServingParams()
_Decide = Callable[[Sequence[ReleaseEntry]], ReleaseEntry | None]


class ReleaseRefusedError(ValueError):
    """A decision of a person that cannot be: what, where, expected, found, next step."""


@dataclass(frozen=True)
class Watched:
    """What the newest evidence said of the champion.

    Attributes:
        state: What is in force now.
        entry: The entry that failed the champion over; None where it is well, or had failed over before.
        accuracy: How precise it is; None where too little is known.
    """

    state: State
    entry: ReleaseEntry | None
    accuracy: Accuracy | None


def release_by_hand(
    stores: Stores,
    params: ReleaseParams,
    action: ReleaseAction,
    model: str,
    because: str,
    now: datetime,
    serving: ServingParams = _SERVING,
) -> ReleaseEntry | None:
    """Add the decision of a person to the log, in force from ``now`` on.

    Who is champion already, neither held nor failed over, is not promoted again: nothing is added, None is returned.

    Args:
        stores: Where it is.
        params: Of the release.
        action: One of ``BY_HAND``: promote makes the model champion, or confirms it; hold keeps every trial from
            beginning or going on by itself; rollback takes the model on trial, or the champion, out of all traffic.
        model: Its version, the beginning of one, or the part that it has: champion, backup, canary, shadow.
        because: Why.
        now: The time, UTC.
        serving: How long a model may take to answer.

    Raises:
        ReleaseRefusedError: There is no such model, no reason, the state machine does not allow it, or the model does
            not load or gives no probabilities.
        ReleaseLogError: The log is not as it was written.
        PartitionHeldError: The model failed a blocking check.
    """
    if action not in BY_HAND or not because.strip():
        raise ReleaseRefusedError(f"{action} of {model}: expected one of {', '.join(BY_HAND)} and a reason")
    view = View(stores)
    prober = _Prober(stores, view, serving)
    health = Evidence(view).read_health(now.date(), _COMPARED_DAYS)

    def decide(entries: Sequence[ReleaseEntry]) -> ReleaseEntry | None:
        state = read_state(find_entry_in_force(entries, now))
        version = choose_version(stores, entries, state, model)
        if action is ReleaseAction.PROMOTE:
            prober.require(version)
            if version == state.champion and not state.is_held and state.failed_over_since is None:
                return None
        evidence = {version: {**_compare(health, version, state, now.date()), **prober.probe(version)}}
        reserves = (one for one in (state.backup, state.canary) if one)
        at = Situation(now.date(), state, prober.look_at({version, *reserves}, now.date()), (), (), params)
        try:
            return make_entry(at, Proposal(Transition(action, version), because, evidence), now, DecidedBy.PERSON)
        except IllegalTransitionError as error:
            raise ReleaseRefusedError(
                f"{error}; in force is {_tell(state)}; see: pipeline-assets release log"
            ) from error

    return _append(stores.release_log, decide)


def watch_champion_now(
    stores: Stores, params: ReleaseParams, accuracy: AccuracyParams, evidence: date, now: datetime
) -> Watched:
    """Fail the champion over from ``now`` on where the evidence up to the day ``evidence`` says so."""
    known = Evidence(View(stores))
    health, candidates = known.read_health(evidence + DAY), known.list_candidates(evidence + DAY)

    def look(entries: Sequence[ReleaseEntry]) -> Situation:
        return look_at(entries, evidence, now, health, candidates, params)

    entry = _append(stores.release_log, lambda entries: fail_over_at_once(entries, look(entries), now))
    at = look(stores.release_log.entries())
    return Watched(at.state, entry, measure_accuracy(at, accuracy))


def find_newest_evidence(stores: Stores) -> tuple[date, str] | None:
    """The newest day of which the health of the models is known, and the version of its table."""
    held = stores.holds.held_days(MODEL_HEALTH.name)
    records = {day: one for day, one in stores.records.load(MODEL_HEALTH.name).items() if day not in held}
    return max(((day, one.version) for day, one in records.items()), default=None)


def choose_version(stores: Stores, entries: Sequence[ReleaseEntry], state: State, word: str) -> str:
    """The one model that a word stands for: a version, the beginning of one, or a part in ``state``.

    Raises:
        ReleaseRefusedError: It stands for none, or for several.
    """
    if word in _PARTS:
        version: str | None = getattr(state, word)
        if version is None:
            raise ReleaseRefusedError(f"there is no {word}; in force is {_tell(state)}")
        return version
    named = {one for entry in entries for one in (entry.champion, entry.backup, entry.canary, entry.shadow) if one}
    trained = {name_version(record.files) for record in stores.records.load(MODEL).values()}
    known = sorted(named | trained)
    found = [word] if word in known else [version for version in known if word and version.startswith(word)]
    if len(found) == 1:
        return found[0]
    some = ", ".join((found or known)[-8:]) or "none: train one"
    raise ReleaseRefusedError(
        f"model {word!r}: expected a version, the unique beginning of one, or one of {', '.join(_PARTS)}; found "
        f"{len(found)} models that begin so; there are {some}"
    )


class _Prober:
    """Models asked for a probability now, each once."""

    def __init__(self, stores: Stores, view: View, serving: ServingParams) -> None:
        self._view = view
        self._served = ServedModels(stores.models, serving)
        self._stores = stores
        self._known: dict[str, tuple[Metrics, str | None]] = {}

    def require(self, version: str) -> None:
        """Make sure that a model is not held, loads, and gives a probability for each payment that it is asked for.

        Raises:
            ReleaseRefusedError: It does not.
            PartitionHeldError: It is held.
        """
        week = _find_week(version)
        if week in self._view.held(MODEL):
            self._view.require(MODEL, week, wanted_by="release")
        problem = self._ask(version)[1]
        if problem:
            raise ReleaseRefusedError(
                f"model {version} gets no traffic: expected it to load and to give a probability for every payment of "
                f"{Key(TRAINING_SET.name, week)} it is asked for, found {problem}; mend it (pipeline-assets heal "
                "--apply), or choose another one: pipeline-assets release log"
            )

    def probe(self, version: str) -> Metrics:
        """What was seen of a model when it was asked."""
        return self._ask(version)[0]

    def look_at(self, versions: set[str], day: date) -> Health:
        """The same of several models, as what is known by ``day``; of one that cannot be asked nothing is."""
        seen = {version: self.probe(version) for version in versions if not self._ask(version)[1]}
        return Health({day - DAY: seen})

    def _ask(self, version: str) -> tuple[Metrics, str | None]:
        if version not in self._known:
            self._known[version] = self._ask_now(version)
        return self._known[version]

    def _ask_now(self, version: str) -> tuple[Metrics, str | None]:
        models, why_not = self._served.load_available([version])
        if version in why_not:
            return {}, str(why_not[version])
        try:
            self._view.require(TRAINING_SET.name, _find_week(version), wanted_by=f"the probe of {version}")
            rows = self._view.read(TRAINING_SET, [_find_week(version)]).head(_PROBED_ROWS)
            scores = models[version].predict(make_model_inputs(rows))
        except (ValueError, FileNotFoundError, ModelTimeoutError, ModelFailedError) as error:
            return {}, str(error)
        n_invalid = int((~is_probability(scores)).sum())
        seen = {"n_payments": float(len(scores)), "n_invalid": float(n_invalid)}
        return seen, f"{n_invalid} of {len(scores)} that were no probabilities" if n_invalid else None


def _append(log: ReleaseLog, decide: _Decide) -> ReleaseEntry | None:
    """Add what is decided from the log as it is, None where that is nothing; decided anew where others came first."""
    while True:
        entries = log.entries()
        draft = decide(entries)
        if draft is None:
            return None
        entry = log.append_after(entries, draft)
        if entry is not None:
            return entry


def _compare(health: Health, version: str, state: State, day: date) -> Metrics:
    """What is known of a model against the champion, or of the champion against its backup."""
    rival = state.backup if version == state.champion else state.champion
    if rival is None or rival == version:
        return {}
    gains = compare_days(health, version, rival, day - _COMPARED_DAYS * DAY, day - DAY)
    return summarise_gains(gains) if gains.days else {}


def _find_week(version: str) -> date:
    return date.fromisoformat(version.rpartition("-")[0])


def _tell(state: State) -> str:
    parts = {part: getattr(state, part) for part in _PARTS}
    return ", ".join(f"{part} {model}" for part, model in parts.items() if model) or "no model: the rules decide"
