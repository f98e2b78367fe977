"""The decision of each day on the release: added to the log, and as a table of who decides for whom."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from typing import Final

import polars as pl

from pipeline_assets.adapters.models import name_version
from pipeline_assets.adapters.stages.made import Made, describe
from pipeline_assets.adapters.stages.view import View
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.contracts.tables import MODEL_EVALUATION, MODEL_HEALTH, RELEASE
from pipeline_assets.core.lineage.recipes import MODEL, MODEL_WINDOW_DAYS, TRIAL_DAYS, describe_release
from pipeline_assets.core.lineage.snapshots import LogHead
from pipeline_assets.core.release import ReleaseEntry, ReleaseParams
from pipeline_assets.core.release.evidence import Health, Signals, read_health
from pipeline_assets.core.release.plot import plot_release
from pipeline_assets.core.release.policy import decide_day
from pipeline_assets.core.release.situation import Candidate, Metrics
from pipeline_assets.core.release.states import list_parts, read_state

_PLOTTED_DAYS: Final = 90


def release_models(stores: Stores, params: ReleaseParams, days: Sequence[date]) -> Iterator[Made]:
    """Decide on each of ``days``, which are in order, by what was known before it, and add the decision to the log."""
    recipe = describe_release(params)
    view = View(stores)
    view.present(RELEASE.name)  # the records are taken down before the log is read
    evidence = Evidence(view)
    for day in days:
        entries = stores.release_log.entries()
        draft = decide_day(entries, day, evidence.read_health(day), evidence.list_candidates(day), params)
        entry = stores.release_log.append(draft)
        rows = [(*part, str(entry.action)) for part in list_parts(read_state(entry))]
        frame = pl.DataFrame(rows, RELEASE.empty().schema, orient="row")
        written = stores.lake.write(RELEASE, day, frame)
        # The table comes first and names the version: who reads it follows what was decided, not the place in the log.
        files = {f"lake/{written.path}": written.md5, f"release/entries/{entry.sequence:08d}.json": entry.md5}
        last = max((entry, *entries), key=lambda one: one.sequence)
        view.see(view.record(recipe, day, files, head=LogHead(last.sequence + 1, last.md5)))
        plots = {"traffic and average precision": partial(_plot, stores, evidence, day)} if day == days[-1] else {}
        made = describe("lake", RELEASE, day, written, frame, **describe_entry(entry))
        yield replace(made, plots=plots)


class Evidence:
    """What is known of the models, each table read once."""

    def __init__(self, view: View) -> None:
        """Read it through ``view`` as it is asked for."""
        self._view = view
        self._health: dict[date, Mapping[str, Signals]] = {}
        self._evaluations: dict[date, Mapping[str, Metrics]] = {}

    def read_health(self, day: date, n_days: int = TRIAL_DAYS) -> Health:
        """The signals of the ``n_days`` before ``day``."""
        window = [one for one in self._view.present(MODEL_HEALTH.name) if day - timedelta(days=n_days) <= one < day]
        for one in window:
            if one not in self._health:
                self._health |= read_health({one: self._view.read(MODEL_HEALTH, [one])}).days
        return Health({one: self._health[one] for one in window})

    def list_candidates(self, day: date) -> list[Candidate]:
        """The models with an as-of day up to ``day``, in order, each with its evaluation if there is one.

        The records name them: a model whose files are damaged is no less a candidate, it is healed.
        """
        first = day - timedelta(days=MODEL_WINDOW_DAYS)
        weeks = [week for week in self._view.present(MODEL) if first <= week <= day]
        return [Candidate(week, self._name_model(week), self._read_evaluation(week)) for week in weeks]

    def _name_model(self, week: date) -> str:
        return name_version(self._view.list_files(MODEL, week))

    def _read_evaluation(self, week: date) -> Mapping[str, Metrics]:
        if week not in self._view.present(MODEL_EVALUATION.name):
            return {}
        if week not in self._evaluations:
            found: dict[str, dict[str, float]] = {}
            for subject, metric, value in self._view.read(MODEL_EVALUATION, [week]).drop_nulls().iter_rows():
                found.setdefault(subject, {})[metric] = value
            self._evaluations[week] = found
        return self._evaluations[week]


def describe_entry(entry: ReleaseEntry) -> dict[str, object]:
    """What an entry says, for a person."""
    return {
        "action": str(entry.action),
        "reason": entry.reason,
        "champion": entry.champion or "rules",
        "backup": entry.backup or "rules",
        "shadow": entry.shadow or "none",
        "canary": entry.canary or "none",
        "canary_share": entry.canary_share,
        "failed_over": entry.is_failed_over,
        "decided_by": str(entry.decided_by),
        "sequence": entry.sequence,
    }


def _plot(stores: Stores, evidence: Evidence, day: date) -> bytes:
    health = evidence.read_health(day, _PLOTTED_DAYS)
    return plot_release(stores.release_log.entries(), health, day - timedelta(days=_PLOTTED_DAYS), day)
