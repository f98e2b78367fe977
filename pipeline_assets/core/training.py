"""Training of the fraud model: a pure function of rows and parameters that may be killed at any moment and resumed.

Three things make a resumed training end in the same bytes as an uninterrupted one. Nothing is drawn at random (no
bagging, no feature sampling). Every training continues from the text of its first round, so that scores are always the
sum of the trees in their order, as a resumed training recomputes them. Features are not bundled, because a bundle
loses the rarer value of a row where two features collide, which the recomputed scores do not (measured: predictions
differed by up to 0.35 with bundles, by 0 without).
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as parameters

from pipeline_assets.contracts.features import CUSTOMER_FEATURES, TERMINAL_FEATURES
from pipeline_assets.core.failures import BadDataError
from pipeline_assets.core.features import MODEL_FEATURES, RARE_TAIL_FEATURES, make_model_inputs

TRAINING_CODE_VERSION: Final = "1"  # raise it when the same rows and parameters give another model
_DAYS_A_WEEK: Final = 7
_ALL_ROWS: Final = 2_000_000  # rows that bins are made from: all there are, up to here
_NULLABLE: Final = frozenset(f.name for f in (*CUSTOMER_FEATURES, *TERMINAL_FEATURES) if f.nullable)
Floats = npt.NDArray[np.float64]


class TrainingDataError(BadDataError):
    """The training set cannot train a model; the message says why."""


@parameters(frozen=True, config=ConfigDict(extra="forbid"))
class TrainingParams:
    """What is trained on what. Defaults as measured on the Handbook's data; features decide, tuning hardly.

    Attributes:
        history_weeks: How far back a training set reaches from its as-of day; its last days are not mature yet.
        rounds: Number of trees.
        learning_rate: Weight of each tree.
        num_leaves: Leaves of a tree; small trees beat big ones.
        min_sum_hessian_in_leaf: LightGBM's default of 0.001 overfits rare frauds.
        lambda_l2: So does its default of 0.
        bins: Bins of a feature.
        fine_bins: Bins of a feature with a rare tail that matters; 255 would put the tail into one bin.
        checkpoint_rounds: Rounds between checkpoints, the most that a kill can cost.
        seed: LightGBM's; nothing is drawn with it.
    """

    history_weeks: int = Field(default=26, ge=2)
    rounds: int = Field(default=400, ge=2)
    learning_rate: float = Field(default=0.03, gt=0, le=1)
    num_leaves: int = Field(default=8, ge=2)
    min_sum_hessian_in_leaf: float = Field(default=1.0, ge=0)
    lambda_l2: float = Field(default=1.0, ge=0)
    bins: int = Field(default=255, ge=2, le=65535)
    fine_bins: int = Field(default=4095, ge=2, le=65535)
    checkpoint_rounds: int = Field(default=25, ge=1)
    seed: int = Field(default=0, ge=0)

    @property
    def history_days(self) -> int:
        """The same in days."""
        return self.history_weeks * _DAYS_A_WEEK


class Checkpoints(Protocol):
    """Where one training keeps its latest checkpoint; saving replaces the old one whole or not at all."""

    def load(self) -> bytes | None:
        """The latest checkpoint, None where there is none."""

    def save(self, content: bytes) -> None:
        """Put ``content`` in the place of the latest checkpoint."""


@dataclass(frozen=True)
class TrainedModel:
    """A model and what is known of it.

    Attributes:
        text: LightGBM's text format; the same rows and parameters always give the same bytes.
        card: What it was trained on and how, the same bytes again; JSON values only.
        resumed_from: Rounds that a checkpoint brought along; 0 where training began anew.
        ignored_checkpoint: Why a checkpoint that was found was not used; None where there was nothing to ignore.
    """

    text: bytes
    card: Mapping[str, Any]
    resumed_from: int
    ignored_checkpoint: str | None


@dataclass(frozen=True)
class _Examples:
    inputs: Floats
    labels: Floats
    digest: str


def train(training_set: pl.DataFrame, params: TrainingParams, checkpoints: Checkpoints | None = None) -> TrainedModel:
    """Train a model; the order of rows, and how often it was killed on the way, do not change a byte of it.

    Args:
        training_set: The rows of the table ``training_set``.
        params: See there.
        checkpoints: Where to resume from and save to; without, nothing is saved.

    Raises:
        TrainingDataError: No rows, no fraud or nothing else, a missing column, a value that is not finite.
    """
    import lightgbm

    examples = _make_examples(training_set, params)
    start, ignored = _read_checkpoint(checkpoints.load() if checkpoints else None, examples.digest)
    settings = _make_settings(params)
    data = lightgbm.Dataset(
        examples.inputs, examples.labels, params=settings, feature_name=list(MODEL_FEATURES), free_raw_data=False
    )
    first = start or lightgbm.train(settings, data, num_boost_round=1).model_to_string()
    resumed_from = lightgbm.Booster(model_str=start).num_trees() if start else 0
    booster = lightgbm.Booster(model_str=first)

    def save(env: Any) -> None:
        done = env.iteration + 1  # counted from the first round of all
        if checkpoints and done % params.checkpoint_rounds == 0 and done < params.rounds:
            checkpoints.save(_make_checkpoint(env.model.model_to_string(num_iteration=-1), examples.digest))

    remaining = params.rounds - booster.num_trees()
    booster = lightgbm.train(
        settings, data, remaining, init_model=booster, callbacks=[save], keep_training_booster=True
    )
    text = _make_canonical(booster.model_to_string(num_iteration=-1), params)
    return TrainedModel(text, _make_card(training_set, examples, params, text), resumed_from, ignored)


def compute_training_digest(training_set: pl.DataFrame, params: TrainingParams) -> str | None:
    """What decides on the bytes of a model: rows, parameters and code; None where the rows cannot train one."""
    try:
        return _make_examples(training_set, params).digest
    except TrainingDataError:
        return None


def _make_examples(training_set: pl.DataFrame, params: TrainingParams) -> _Examples:
    missing = sorted({"transaction_id", "event_time", "is_fraud"} - set(training_set.columns))
    if missing:
        raise TrainingDataError(f"training set: expected the columns of its table, found no {missing}")
    rows = training_set.sort("event_time", "transaction_id")  # sums of gradients depend on the order of rows
    n_frauds = int(rows["is_fraud"].sum())
    if not 0 < n_frauds < rows.height:
        raise TrainingDataError(
            f"training set: expected frauds and honest payments, found {n_frauds} frauds in {rows.height} rows; "
            "wait for more history, or check that chargebacks arrive"
        )
    try:
        inputs = make_model_inputs(rows)
    except ValueError as error:
        raise TrainingDataError(str(error)) from error
    _check_inputs(inputs)
    labels = rows["is_fraud"].cast(pl.Float64).to_numpy()
    return _Examples(inputs, labels, _digest(inputs, labels, params))


def _check_inputs(inputs: Floats) -> None:
    broken = {
        name: int((~np.isfinite(values)).sum() if name not in _NULLABLE else np.isinf(values).sum())
        for name, values in zip(MODEL_FEATURES, inputs.T, strict=True)
    }
    broken = {name: count for name, count in broken.items() if count}
    if broken:
        raise TrainingDataError(
            f"training set: expected finite features, found values that are missing or infinite in {broken} "
            "(feature: rows); build the features of those days again"
        )


def _make_settings(params: TrainingParams) -> dict[str, Any]:
    return {
        "objective": "binary",
        "learning_rate": params.learning_rate,
        "num_leaves": params.num_leaves,
        "min_sum_hessian_in_leaf": params.min_sum_hessian_in_leaf,
        "lambda_l2": params.lambda_l2,
        "max_bin_by_feature": [
            params.fine_bins if name in RARE_TAIL_FEATURES else params.bins for name in MODEL_FEATURES
        ],
        "min_data_in_bin": 1,
        "bin_construct_sample_cnt": _ALL_ROWS,
        "enable_bundle": False,  # see the module's docstring
        "deterministic": True,
        "force_col_wise": True,
        "num_threads": 1,  # the order of sums; and on a shared machine more threads were slower
        "seed": params.seed,
        "verbosity": -1,
    }


def _digest(inputs: Floats, labels: Floats, params: TrainingParams) -> str:
    import lightgbm

    recipe = [TRAINING_CODE_VERSION, lightgbm.__version__, MODEL_FEATURES, _make_settings(params), params.rounds]
    digest = hashlib.md5(json.dumps(recipe, sort_keys=True).encode(), usedforsecurity=False)
    digest.update(inputs.tobytes())
    digest.update(labels.tobytes())
    return digest.hexdigest()


def _make_checkpoint(text: str, digest: str) -> bytes:
    """The digests of what is trained and of the text, then the model as far as it is."""
    body = text.encode()
    return f"{digest} {hashlib.md5(body, usedforsecurity=False).hexdigest()}\n".encode() + body


def _read_checkpoint(content: bytes | None, digest: str) -> tuple[str | None, str | None]:
    """The model text to go on from, and why a checkpoint was ignored; either may be None."""
    if content is None:
        return None, None
    head, _, body = content.partition(b"\n")
    if not head.endswith(b" " + hashlib.md5(body, usedforsecurity=False).hexdigest().encode()):
        return None, "the checkpoint is damaged: its bytes do not have the hash that it states; training began anew"
    if not head.startswith(digest.encode() + b" "):
        return None, "the checkpoint is of other rows, parameters or code; training began anew"
    return body.decode(), None


def _make_canonical(text: str, params: TrainingParams) -> bytes:
    # LightGBM states the rounds of its last call, which depend on where the training was resumed.
    canonical, found = re.subn(r"\[num_iterations: \d+\]", f"[num_iterations: {params.rounds}]", text)
    assert found == 1, "LightGBM's model text no longer states its number of rounds once"
    return canonical.encode()


def _make_card(training_set: pl.DataFrame, examples: _Examples, params: TrainingParams, text: bytes) -> dict[str, Any]:
    import lightgbm

    times = training_set["event_time"].dt.to_string("iso:strict")
    return {
        "code_version": TRAINING_CODE_VERSION,
        "features": list(MODEL_FEATURES),
        "first_event_time": times.min(),
        "last_event_time": times.max(),
        "lightgbm_version": lightgbm.__version__,
        "md5": hashlib.md5(text, usedforsecurity=False).hexdigest(),
        "n_frauds": int(examples.labels.sum()),
        "n_rows": examples.labels.size,
        "params": asdict(params),
        "training_digest": examples.digest,
        # What stands in for a feature whose table is missing; NaN would be read as 0, which is an extreme value.
        "typical_inputs": dict(zip(MODEL_FEATURES, np.nan_to_num(_median(examples.inputs)).tolist(), strict=True)),
    }


def _median(inputs: Floats) -> Floats:
    return np.array([np.median(known) if (known := v[~np.isnan(v)]).size else np.nan for v in inputs.T])
