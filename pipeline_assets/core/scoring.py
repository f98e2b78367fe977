"""Scoring: a decision on every payment by the highest rung of the ladder that works, and what it says for itself."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as parameters

from pipeline_assets.contracts.features import CUSTOMER_FEATURES, TERMINAL_FEATURES, Feature
from pipeline_assets.contracts.tables import SCORES
from pipeline_assets.contracts.vocabularies import Decision, Degradation, Rung
from pipeline_assets.core.failures import BadDataError
from pipeline_assets.core.features import MODEL_FEATURES, make_model_inputs
from pipeline_assets.core.release import ReleaseEntry, find_entry_in_force
from pipeline_assets.core.rules import HIGH_AMOUNT, RulesParams, score_by_rules

MAX_REASON_CODES: Final = 3  # a reviewer reads no more
_REASON_CODES: Final = {
    "amount_cents": HIGH_AMOUNT,
    "is_weekend": "on_weekend",
    "is_night": "at_night",
    **{feature.name: feature.reason_code for feature in (*CUSTOMER_FEATURES, *TERMINAL_FEATURES)},
}
_CODES: Final = tuple(sorted(set(_REASON_CODES.values())))
_DECISIONS: Final = (str(Decision.APPROVE), str(Decision.REVIEW), str(Decision.DECLINE))  # the mildest first
_UNAVAILABLE: Final = {
    Rung.CHAMPION: Degradation.CHAMPION_UNAVAILABLE,
    Rung.CANARY: Degradation.CANARY_UNAVAILABLE,
    Rung.BACKUP: Degradation.BACKUP_UNAVAILABLE,
}
_MISSING: Final = (
    (CUSTOMER_FEATURES, Degradation.CUSTOMER_FEATURES_MISSING),
    (TERMINAL_FEATURES, Degradation.TERMINAL_FEATURES_MISSING),
)
Floats = npt.NDArray[np.float64]


class ModelMismatchError(BadDataError):
    """A model was trained on other inputs than this code makes."""


@parameters(frozen=True, config=ConfigDict(extra="forbid"))
class DecisionParams:
    """What each outcome costs, in cents; the decision is the one with the least expected cost.

    With the probability of fraud p and the amount a:
    approve costs p (a + chargeback fee); decline costs (1 - p) (margin share a + false decline cost);
    review costs the review, and p (1 - detection share) (a + chargeback fee).

    Attributes:
        chargeback_fee_cents: What a chargeback costs beyond the amount.
        review_cost_cents: An analyst's time.
        review_detection_share: Share of frauds that a review finds; it lets all honest payments pass.
        false_decline_cost_cents: What an honest customer turned away costs beyond the lost margin.
        margin_share: The margin on a payment as a share of its amount.
    """

    chargeback_fee_cents: int = Field(default=2000, ge=0)
    review_cost_cents: int = Field(default=300, ge=0)
    review_detection_share: float = Field(default=0.9, ge=0, le=1)
    false_decline_cost_cents: int = Field(default=1500, ge=0)
    margin_share: float = Field(default=0.05, ge=0, le=1)


class FraudModel:
    """A trained model that scores."""

    def __init__(self, version: str, text: str, typical_inputs: Mapping[str, float]) -> None:
        """Load LightGBM's text format.

        Args:
            version: The model's name in the release log.
            text: The model.
            typical_inputs: What stands in for features whose table is missing, by name.

        Raises:
            ModelMismatchError: The model's inputs are not the ones this code makes.
            lightgbm.basic.LightGBMError: The text is no model.
        """
        import lightgbm

        self.version = version
        self._booster = lightgbm.Booster(model_str=text)
        found = self._booster.feature_name()
        if found != list(MODEL_FEATURES) or set(typical_inputs) != set(MODEL_FEATURES):
            raise ModelMismatchError(
                f"model {version}: expected the inputs {list(MODEL_FEATURES)}, found {found}; "
                "train a model with this code"
            )
        self._typical = np.array([typical_inputs[name] for name in MODEL_FEATURES])

    def predict(self, inputs: Floats) -> Floats:
        """The probability of fraud of each row of inputs; each row's does not depend on the others."""
        return np.asarray(self._booster.predict(inputs, num_threads=1), np.float64)

    def explain(self, inputs: Floats) -> Floats:
        """What each input adds to the log-odds of each row, by TreeSHAP."""
        explained = np.asarray(self._booster.predict(inputs, pred_contrib=True, num_threads=1), np.float64)
        return explained[:, : len(MODEL_FEATURES)]  # the last column is the mean

    def fill(self, inputs: Floats, features: Iterable[Feature], rows: npt.NDArray[np.bool_]) -> None:
        """Put typical values in the place of ``features`` of some rows of the inputs."""
        columns = [MODEL_FEATURES.index(feature.name) for feature in features]
        inputs[np.ix_(np.flatnonzero(rows), np.array(columns))] = self._typical[columns]


@dataclass(frozen=True)
class _Route:
    """Who scores: the rung with its model (None for the rules), and what stood in the way of a higher one."""

    rung: Rung
    model: FraudModel | None
    degraded_by: tuple[str, ...]


def join_features(transactions: pl.DataFrame, customer: pl.DataFrame, terminal: pl.DataFrame) -> pl.DataFrame:
    """The payments with the features there are, null where there are none, in the order of the payments."""
    return transactions.join(customer, on="transaction_id", how="left", maintain_order="left").join(
        terminal, on="transaction_id", how="left", maintain_order="left"
    )


def choose_canary_customers(customers: pl.Series, canary: str, share: float) -> pl.Series:
    """Which customers the canary decides for: a share of them by a hash of canary and customer.

    The same customer always gets the same answer for the same canary, and a greater share only adds customers.
    """

    def draw(customer: str) -> float:
        digest = hashlib.md5(f"{canary}:{customer}".encode(), usedforsecurity=False).digest()
        return int.from_bytes(digest[:8], "big") / 2**64

    distinct = customers.unique().to_list()
    return customers.is_in([customer for customer in distinct if draw(customer) < share])


def score_payments(
    payments: pl.DataFrame,
    entries: Sequence[ReleaseEntry],
    models: Mapping[str, FraudModel],
    decision: DecisionParams,
    rules: RulesParams,
) -> pl.DataFrame:
    """A decision on every payment, by the release entry in force at its event time; never depends on other payments.

    Where a feature table lacks a payment, the model sees typical values in its place, and the row says so. Reasons
    come with a review or a decline; explaining a row costs 40 times as much as scoring it (measured: 190 us against 5),
    and nobody asks why he may pay.

    Args:
        payments: The columns of ``transactions`` and of both feature tables, null where unknown (see join_features).
        entries: The release log.
        models: The models that could be loaded, by version.
        decision: Costs of the outcomes.
        rules: The last rung.

    Returns:
        The table ``scores``, in the order of the payments.
    """
    routed = [
        _score_group(group, route, decision, rules)
        for group, route in _route(payments.with_row_index(), entries, models)
    ]
    if not routed:
        return SCORES.empty()
    return pl.concat(routed).sort("index").select(SCORES.columns)


def mark_incomplete_history(scored: pl.DataFrame, is_incomplete: pl.Series) -> pl.DataFrame:
    """Scores whose rows say so where the features behind them were made without a part of their window."""
    code = pl.lit([str(Degradation.HISTORY_INCOMPLETE)], pl.List(pl.String))
    degraded_by = pl.col("degraded_by")
    return scored.with_columns(
        degraded_by=pl.when(is_incomplete).then(pl.concat_list(degraded_by, code)).otherwise(degraded_by)
    )


def _route(
    payments: pl.DataFrame, entries: Sequence[ReleaseEntry], models: Mapping[str, FraudModel]
) -> Iterable[tuple[pl.DataFrame, _Route]]:
    """The payments in groups that take the same way."""
    starts = sorted({entry.effective_from for entry in entries})
    period = pl.lit(0, pl.UInt32)
    for start in starts:
        period = period + (pl.col("event_time") >= start).cast(pl.UInt32)
    periods = payments.with_columns(period=period).partition_by("period", as_dict=True, include_key=False)
    for (number,), group in periods.items():
        entry = find_entry_in_force(entries, starts[int(number) - 1]) if number else None
        if entry is None or entry.canary is None:
            yield group, _find_route(entry, models, (Rung.CHAMPION, Rung.BACKUP))
            continue
        chosen = choose_canary_customers(group["customer_id"], entry.canary, entry.canary_share)
        yield group.filter(chosen), _find_route(entry, models, (Rung.CANARY, Rung.CHAMPION, Rung.BACKUP))
        yield group.filter(~chosen), _find_route(entry, models, (Rung.CHAMPION, Rung.BACKUP))


def _find_route(entry: ReleaseEntry | None, models: Mapping[str, FraudModel], ladder: Sequence[Rung]) -> _Route:
    versions = {} if entry is None else {
        Rung.CANARY: entry.canary, Rung.CHAMPION: entry.champion, Rung.BACKUP: entry.backup
    }  # fmt: skip
    if not any(versions.values()):
        return _Route(Rung.RULES, None, (Degradation.NO_MODEL_RELEASED,))
    released = [(rung, version) for rung in ladder if (version := versions[rung])]
    absent: list[str] = []
    for rung, version in released:
        if version in models:
            return _Route(rung, models[version], tuple(absent))
        absent.append(_UNAVAILABLE[rung])
    return _Route(Rung.RULES, None, tuple(absent))


def _score_group(payments: pl.DataFrame, route: _Route, decision: DecisionParams, rules: RulesParams) -> pl.DataFrame:
    lacks = {code: _lacks(payments, features) for features, code in _MISSING}
    amounts = payments["amount_cents"].cast(pl.Float64).to_numpy()
    if route.model is None:
        by_rules = score_by_rules(payments, rules)
        score, choice = by_rules.score, _decide(by_rules.score, amounts, decision)
        reasons = [
            codes[:MAX_REASON_CODES] if c else [] for codes, c in zip(by_rules.reason_codes, choice, strict=True)
        ]
    else:
        inputs = make_model_inputs(payments)
        for features, code in _MISSING:
            route.model.fill(inputs, features, lacks[code])
        score = route.model.predict(inputs)
        choice = _decide(score, amounts, decision)
        reasons = _explain(route.model, inputs, choice > 0)
    degraded = [
        [*map(str, route.degraded_by), *(str(code) for code, is_lacking in lacks.items() if is_lacking[row])]
        for row in range(payments.height)
    ]
    return payments.select(
        "index",
        "transaction_id",
        score=pl.Series(score),
        decision=pl.Series([_DECISIONS[c] for c in choice], dtype=pl.String),
        reason_codes=pl.Series(reasons, dtype=pl.List(pl.String)),
        model_version=pl.lit(route.model.version if route.model else rules.version),
        rung=pl.lit(str(route.rung)),
        degraded_by=pl.Series(degraded, dtype=pl.List(pl.String)),
    )


def _lacks(payments: pl.DataFrame, features: Sequence[Feature]) -> npt.NDArray[np.bool_]:
    always_there = next(feature.name for feature in features if not feature.nullable)
    return payments[always_there].is_null().to_numpy()


def _decide(score: Floats, amounts: Floats, params: DecisionParams) -> npt.NDArray[np.int64]:
    """Indices into the decisions; of equal costs the milder decision."""
    loss = score * (amounts + params.chargeback_fee_cents)
    review = params.review_cost_cents + (1 - params.review_detection_share) * loss
    decline = (1 - score) * (params.margin_share * amounts + params.false_decline_cost_cents)
    cheapest: npt.NDArray[np.int64] = np.stack([loss, review, decline]).argmin(axis=0)
    return cheapest


def _explain(model: FraudModel, inputs: Floats, needs_reasons: npt.NDArray[np.bool_]) -> list[list[str]]:
    reasons: list[list[str]] = [[] for _ in range(len(inputs))]
    rows = np.flatnonzero(needs_reasons)
    if not rows.size:
        return reasons
    codes = np.array([_CODES.index(_REASON_CODES[name]) for name in MODEL_FEATURES])
    # Contributions are additive, so those of the features behind one code are one contribution.
    by_code = model.explain(inputs[rows]) @ (codes[:, None] == np.arange(len(_CODES)))
    for row, contributions in zip(rows, by_code, strict=True):
        strongest = np.argsort(-contributions, kind="stable")[:MAX_REASON_CODES]
        reasons[row] = [_CODES[code] for code in strongest if contributions[code] > 0]
    return reasons
