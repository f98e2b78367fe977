"""The one reader of the environment and of params.yaml: frozen, typed settings, or an error that names file and key."""

import json
import os
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final, Literal, Self

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass as parameters

from pipeline_assets.adapters.alerts import parse_channels
from pipeline_assets.adapters.landing import LandingZone
from pipeline_assets.adapters.params_file import read_params_file
from pipeline_assets.adapters.remote_places import find_bad_remote
from pipeline_assets.adapters.storage import open_storage, within
from pipeline_assets.contracts.vocabularies import Feed
from pipeline_assets.core.costs import DecisionParams
from pipeline_assets.core.drift import DriftParams
from pipeline_assets.core.evaluation import EvaluationParams
from pipeline_assets.core.freshness import FreshnessParams
from pipeline_assets.core.healing.breaker import HealingParams
from pipeline_assets.core.ingestion import IngestionParams
from pipeline_assets.core.integrity import IntegrityParams
from pipeline_assets.core.lineage.recipes import (
    Recipe,
    describe_drift,
    describe_drift_reference,
    describe_evaluation,
    describe_features,
    describe_ingestion,
    describe_model,
    describe_model_health,
    describe_performance,
    describe_release,
    describe_scores,
    describe_training_set,
)
from pipeline_assets.core.lineage.snapshots import SnapshotParams
from pipeline_assets.core.performance import PerformanceParams
from pipeline_assets.core.release import ReleaseParams
from pipeline_assets.core.release.watch import AccuracyParams
from pipeline_assets.core.retraining import RetrainingParams
from pipeline_assets.core.rules import RulesParams
from pipeline_assets.core.serving import ServingParams
from pipeline_assets.core.training import TrainingParams
from pipeline_assets.simulator.faults import FaultOfKind
from pipeline_assets.simulator.params import Change, WorldParams

DATA_VARIABLE: Final = "PIPELINE_DATA"
PARAMS_VARIABLE: Final = "PIPELINE_PARAMS"
ALERTS_VARIABLE: Final = "PIPELINE_ALERTS"
_DVC_VARIABLE: Final = "DVC_STAGE"  # set by DVC for the commands of its stages
WORLD_RECORD: Final = "world.json"  # in the data root: which world was simulated into it, and from which day on
_SHOWN: Final = 80  # characters of a wrong value
_STRICT: Final = ConfigDict(extra="forbid")


@parameters(frozen=True, config=_STRICT)
class SimulationParams:
    """The payments world that ``pipeline-assets simulate`` lets land its files.

    Attributes:
        n_days: Length of the history that is simulated into an empty data root, up to yesterday.
        n_customers: Customers from the start.
        n_terminals: Terminals.
        seed: Another seed is another world of the same kind.
        file_format: Of the landed files.
        changes: What becomes different in the world on a day, for good: amount_drift, new_customers, card_testing.
        faults: What goes wrong on the way to the landing zone, by day.
    """

    n_days: int = Field(default=98, ge=1, le=3650)
    n_customers: int = Field(default=1000, ge=1, le=5_000_000)
    n_terminals: int = Field(default=2000, ge=1, le=10_000_000)
    seed: int = Field(default=0, ge=0, lt=2**63)
    file_format: Literal["parquet", "csv", "jsonl"] = "parquet"
    changes: tuple[Change, ...] = ()
    faults: tuple[FaultOfKind, ...] = ()

    def make_world(self, start: date) -> WorldParams:
        """The world that begins on ``start``."""
        return WorldParams(start, self.n_customers, self.n_terminals, self.seed, changes=self.changes)


@parameters(frozen=True, config=_STRICT)
class Params:
    """Every number a user may tune, as in params.yaml.

    Attributes:
        history_start: The first daily partition; None for the first day of the simulated world.
        history_end: The last one; None for a history that goes on.
        first_model_after_days: Days of history before the first model.
    """

    history_start: date | None = None
    history_end: date | None = None
    first_model_after_days: int = Field(default=35, ge=14)
    ingestion: IngestionParams = Field(default_factory=IngestionParams)
    training: TrainingParams = Field(default_factory=TrainingParams)
    retraining: RetrainingParams = Field(default_factory=RetrainingParams)
    evaluation: EvaluationParams = Field(default_factory=EvaluationParams)
    release: ReleaseParams = Field(default_factory=ReleaseParams)
    accuracy: AccuracyParams = Field(default_factory=AccuracyParams)
    rules: RulesParams = Field(default_factory=RulesParams)
    decision: DecisionParams = Field(default_factory=DecisionParams)
    serving: ServingParams = Field(default_factory=ServingParams)
    performance: PerformanceParams = Field(default_factory=PerformanceParams)
    drift: DriftParams = Field(default_factory=DriftParams)
    freshness: FreshnessParams = Field(default_factory=FreshnessParams)
    healing: HealingParams = Field(default_factory=HealingParams)
    integrity: IntegrityParams = Field(default_factory=IntegrityParams)
    snapshots: SnapshotParams = Field(default_factory=SnapshotParams)
    simulation: SimulationParams = Field(default_factory=SimulationParams)

    def to_bytes(self) -> bytes:
        """All of them, defaults too, as a parameters file: the same parameters always give the same bytes."""
        return yaml.safe_dump(TypeAdapter(Params).dump_python(self, mode="json"), sort_keys=True).encode()

    def describe_assets(self) -> dict[str, Recipe]:
        """What each asset is made from under these parameters, by name, in an order in which they can be made."""
        evaluation = describe_evaluation(self.training, self.evaluation, self.rules, self.decision)
        return {
            **describe_ingestion(self.ingestion),
            **describe_features(),
            **{
                recipe.asset: recipe
                for recipe in (
                    describe_training_set(self.training),
                    describe_model(self.training),
                    evaluation,
                    describe_drift_reference(self.drift),
                    describe_model_health(self.decision, self.rules, self.evaluation.top_cards),
                    describe_release(self.release),
                    describe_scores(self.decision, self.rules),
                    describe_performance(self.performance, self.evaluation.top_cards),
                    describe_drift(self.drift),
                )
            },
        }

    @model_validator(mode="after")
    def _history_is_not_empty(self) -> Self:
        if self.history_end is not None and self.history_start is not None and self.history_end < self.history_start:
            raise ValueError(f"history_end: expected a day not before history_start, found {self.history_end}")
        return self


@dataclass(frozen=True)
class Settings:
    """Where the data is, what the parameters are, on which day history begins, and who is told of alerts."""

    data_root: str
    params: Params
    history_start: date
    alert_channels: tuple[str, ...] = ()


def read_settings() -> Settings:
    """Read ``PIPELINE_DATA`` (default ``data``) and the file ``PIPELINE_PARAMS`` (default ``params.yaml``).

    ``PIPELINE_ALERTS`` holds the channels of alerts as Apprise URLs, separated by commas or spaces; none by default.

    History begins on ``history_start``, or else on the first day of the world that was simulated into the data root,
    or else on the first day on which payments landed, or else, where there are none yet, so that it has
    ``simulation.n_days`` up to yesterday.

    Raises:
        ValueError: The file is no YAML, or a key is unknown, is there twice or has a wrong value, or a remote is no
            place of its own; the message names file, key and line.
        FileNotFoundError: There is no such file.
    """
    root = os.environ.get(DATA_VARIABLE) or "data"
    _require_folder(root)
    params = read_params(Path(os.environ.get(PARAMS_VARIABLE) or "params.yaml"), root)
    start = params.history_start or _read_world_start(root) or _find_first_landed(root) or _find_default_start(params)
    return Settings(root, params, start, parse_channels(os.environ.get(ALERTS_VARIABLE) or ""))


def is_run_by_dvc() -> bool:
    """Whether this is the command of a stage of DVC, which holds its lock meanwhile."""
    return bool(os.environ.get(_DVC_VARIABLE))


def require_declared_paths() -> None:
    """Make sure that a stage of DVC works on what ``dvc.yaml`` declares: the folder ``data`` and ``params.yaml``.

    Raises:
        ValueError: The environment names others.
    """
    declared = {DATA_VARIABLE: "data", PARAMS_VARIABLE: "params.yaml"}
    others = [f"{name}={found}" for name, path in declared.items() if (found := os.environ.get(name) or path) != path]
    if is_run_by_dvc() and others:
        raise ValueError(f"expected the paths that dvc.yaml declares, found {', '.join(others)}; unset them for DVC")


def read_params(path: Path, root: str | None = None) -> Params:
    """Read a parameters file, for the data root ``root`` where there is one; see :func:`read_settings`."""
    try:
        file = read_params_file(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"parameters file {path}: there is none; go to the folder that holds it, or name one in {PARAMS_VARIABLE}"
        ) from error
    adapter = TypeAdapter(Params)
    try:
        params = adapter.validate_python({} if file.values is None else file.values)
    except ValidationError as error:
        problems = [file.refuse(one["loc"], f"{one['msg']}, found {_show(one['input'])}") for one in error.errors()]
        start = f"parameters file {path}: "
        raise ValueError(start + "; ".join(str(one).removeprefix(start) for one in problems)) from error
    file.check(adapter.dump_python(params))
    bad = find_bad_remote(root, params.snapshots.remotes) if root is not None else None
    if bad is not None:
        raise file.refuse(("snapshots", "remotes", bad.number), bad.problem)
    return params


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} …"


def _require_folder(root: str) -> None:
    """Make sure that a data root is no file: else each store would say so in its own words."""
    if "://" not in root and Path(root).exists() and not Path(root).is_dir():
        raise ValueError(f"{DATA_VARIABLE}: expected a folder or an s3:// URL, found the file {root}; name a folder")


def _read_world_start(root: str) -> date | None:
    try:
        content = open_storage(root).read(WORLD_RECORD)
    except FileNotFoundError:
        return None
    try:
        return date.fromisoformat(json.loads(content)["start"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{root}/{WORLD_RECORD}: expected the simulated world's first day as JSON, found {content[:80]!r}; "
            "remove the data root and simulate again, or set history_start"
        ) from error


def _find_first_landed(root: str) -> date | None:
    """Where landed files came without the record of their world, as DVC brings them; a note or the like is none."""
    landing = LandingZone(within(open_storage(root), "landing"))
    return next(iter(landing.list_days(Feed.TRANSACTIONS, is_of_known_format=True)), None)


def _find_default_start(params: Params) -> date:
    last = params.history_end or datetime.now(UTC).date() - timedelta(days=1)
    return last - timedelta(days=params.simulation.n_days - 1)
