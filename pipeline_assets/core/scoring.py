"""Scoring: a decision on every payment by the highest rung of the ladder that works, and what it says for itself."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline_assets.contracts.features import CUSTOMER_FEATURES, TERMINAL_FEATURES
from pipeline_assets.contracts.tables import SCORES, UTC_MICROSECONDS
from pipeline_assets.contracts.vocabularies import Degradation, Rung
from pipeline_assets.core.costs import DECISIONS, DecisionParams, choose_decisions
from pipeline_assets.core.features import MODEL_FEATURES
from pipeline_assets.core.fraud_model import (
    Flags,
    Floats,
    FraudModel,
    Model,
    ModelFailedError,
    ModelInputs,
    ModelMismatchError,
    ModelTimeoutError,
    is_probability,
    lacks,
)
from pipeline_assets.core.release import ReleaseEntry, find_entry_in_force
from pipeline_assets.core.rules import HIGH_AMOUNT, RulesParams, score_by_rules

__all__ = [  # with what is needed of the modules below to score
    "MAX_REASON_CODES", "DecisionParams", "FraudModel", "Model", "ModelFailedError", "ModelMismatchError",
    "ModelTimeoutError", "choose_canary_customers", "join_features", "list_deciding_versions",
    "mark_incomplete_history", "score_payments",
]  # fmt: skip

MAX_REASON_CODES: Final = 3  # a reviewer reads no more
_REASON_CODES: Final = {
    "amount_cents": HIGH_AMOUNT,
    "is_weekend": "on_weekend",
    "is_night": "at_night",
    **{feature.name: feature.reason_code for feature in (*CUSTOMER_FEATURES, *TERMINAL_FEATURES)},
}
_CODES: Final = tuple(sorted(set(_REASON_CODES.values())))
_MISSING: Final = (
    (CUSTOMER_FEATURES, Degradation.CUSTOMER_FEATURES_MISSING),
    (TERMINAL_FEATURES, Degradation.TERMINAL_FEATURES_MISSING),
)
_UNAVAILABLE: Final = "unavailable"  # with the rung before them, these three are codes of Degradation
_TIMED_OUT: Final = "timed_out"
_INVALID: Final = "invalid"


class _Parts(NamedTuple):
    """Who has which part in an entry of the release log: all that routing depends on."""

    champion: str | None
    backup: str | None
    canary: str | None
    canary_share: float
    is_failed_over: bool


@dataclass(frozen=True)
class _Route:
    """The models that are asked, highest rung first, and what is to be said whoever answers; after them the rules."""

    rungs: tuple[tuple[Rung, str], ...] = ()
    degraded_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Answer:
    """What one model says of some payments, and what is wrong where it is not valid."""

    is_valid: Flags
    problem: str
    score: Floats
    choice: npt.NDArray[np.int64]
    reasons: list[list[str]]


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


def list_deciding_versions(entry: ReleaseEntry) -> set[str]:
    """The models that may decide on a payment while an entry of the release log is in force."""
    models = (entry.backup,) if entry.is_failed_over else (entry.champion, entry.canary, entry.backup)
    return {version for version in models if version}


def score_payments(
    payments: pl.DataFrame,
    entries: Sequence[ReleaseEntry],
    models: Mapping[str, Model],
    decision: DecisionParams,
    rules: RulesParams,
) -> pl.DataFrame:
    """A decision on every payment, by the release entry in force at its event time.

    A payment goes down the ladder where a model is not there, does not answer in time, fails, or gives a score that is
    no probability; the last rung are the rules, which always answer. The row says which rung decided and what was in
    the way of a higher one. It never depends on other payments, unless a model runs out of time with them.

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
        _score_group(group, route, models, decision, rules)
        for group, route in _route(payments.with_row_index(), entries)
    ]
    if not routed:
        return SCORES.empty()
    return pl.concat(routed).sort("index").select(SCORES.columns)


def mark_incomplete_history(scored: pl.DataFrame, is_incomplete: pl.Series) -> pl.DataFrame:
    """Scores whose rows say so where the features behind them were made without a part of their window."""
    return scored.with_columns(degraded_by=_say(Degradation.HISTORY_INCOMPLETE, is_incomplete))


def _route(payments: pl.DataFrame, entries: Sequence[ReleaseEntry]) -> Iterable[tuple[pl.DataFrame, _Route]]:
    """The payments in groups that take the same way."""
    starts = sorted({entry.effective_from for entry in entries})
    periods = pl.Series(starts, dtype=UTC_MICROSECONDS).search_sorted(payments["event_time"], side="right")
    parts = {number: _read_parts(entries, starts[number - 1]) if number else None for number in periods.unique()}
    distinct = list(dict.fromkeys(parts.values()))
    groups = pl.Series([distinct.index(parts[number]) for number in periods], dtype=pl.Int64)
    for number, one in enumerate(distinct):
        yield from _split(payments.filter(groups == number), one)


def _read_parts(entries: Sequence[ReleaseEntry], moment: datetime) -> _Parts | None:
    entry = find_entry_in_force(entries, moment)
    if entry is None:
        return None
    return _Parts(entry.champion, entry.backup, entry.canary, entry.canary_share, entry.is_failed_over)


def _split(payments: pl.DataFrame, parts: _Parts | None) -> Iterable[tuple[pl.DataFrame, _Route]]:
    if parts is None or not (parts.champion or parts.backup or parts.canary):
        yield payments, _Route(degraded_by=(str(Degradation.NO_MODEL_RELEASED),))
        return
    backup = ((Rung.BACKUP, parts.backup),) if parts.backup else ()
    if parts.is_failed_over:
        yield payments, _Route(backup, (str(Degradation.CHAMPION_SUSPENDED),))
        return
    usual = ((Rung.CHAMPION, parts.champion), *backup) if parts.champion else backup
    if parts.canary is None:
        yield payments, _Route(usual)
        return
    chosen = choose_canary_customers(payments["customer_id"], parts.canary, parts.canary_share)
    yield payments.filter(chosen), _Route(((Rung.CANARY, parts.canary), *usual))
    yield payments.filter(~chosen), _Route(usual)


def _score_group(
    payments: pl.DataFrame,
    route: _Route,
    models: Mapping[str, Model],
    decision: DecisionParams,
    rules: RulesParams,
) -> pl.DataFrame:
    """Rung by rung those payments that none before it has decided on."""
    rest = payments.with_columns(degraded_by=pl.lit(list(route.degraded_by), pl.List(pl.String)))
    parts = []
    for rung, version in route.rungs:
        if rest.is_empty():
            break
        answer = _ask(models.get(version), rest, decision)
        parts.append(_write(rest, answer, rung, version))
        problem = Degradation(f"{rung}_{answer.problem}")
        rest = rest.filter(~answer.is_valid).with_columns(degraded_by=_say(problem))
    parts.append(_write(rest, _ask_rules(rest, decision, rules), Rung.RULES, rules.version))
    decided = pl.concat(parts)
    for features, code in _MISSING:
        decided = decided.with_columns(degraded_by=_say(code, lacks(features)))
    return decided.select("index", *SCORES.columns)


def _ask(model: Model | None, payments: pl.DataFrame, params: DecisionParams) -> _Answer:
    """A model's answer; what it cannot explain in time it has not answered."""
    if model is None:
        return _answer_nothing(payments.height, _UNAVAILABLE)
    inputs, amounts = ModelInputs(payments).fill_for(model), payments["amount_cents"].to_numpy()
    try:
        score = model.predict(inputs)
        is_valid = is_probability(score)
        choice = choose_decisions(np.where(is_valid, score, 0.0), amounts, params)  # what is no score needs no reason
        reasons = _explain(model, inputs, choice > 0)
    except ModelTimeoutError:
        return _answer_nothing(payments.height, _TIMED_OUT)
    except ModelFailedError:
        return _answer_nothing(payments.height, _UNAVAILABLE)
    return _Answer(is_valid, _INVALID, score, choice, reasons)


def _answer_nothing(n_rows: int, problem: str) -> _Answer:
    nothing = np.zeros(n_rows)
    return _Answer(nothing > 0, problem, nothing, nothing.astype(np.int64), [[]] * n_rows)


def _ask_rules(payments: pl.DataFrame, params: DecisionParams, rules: RulesParams) -> _Answer:
    by_rules = score_by_rules(payments, rules)
    choice = choose_decisions(by_rules.score, payments["amount_cents"].to_numpy(), params)
    reasons = [codes[:MAX_REASON_CODES] if c else [] for codes, c in zip(by_rules.reason_codes, choice, strict=True)]
    return _Answer(np.full(payments.height, fill_value=True), "", by_rules.score, choice, reasons)


def _write(payments: pl.DataFrame, answer: _Answer, rung: Rung, version: str) -> pl.DataFrame:
    """The payments that an answer decides on, with what it says of them."""
    return payments.with_columns(
        score=pl.Series(answer.score),
        decision=pl.Series([DECISIONS[choice] for choice in answer.choice], dtype=pl.String),
        reason_codes=pl.Series(answer.reasons, dtype=pl.List(pl.String)),
        model_version=pl.lit(version),
        rung=pl.lit(str(rung)),
    ).filter(answer.is_valid)


def _say(code: Degradation, where: pl.Expr | pl.Series | None = None) -> pl.Expr:
    """``degraded_by`` with one code more, in some rows or in all."""
    said = pl.concat_list("degraded_by", pl.lit([str(code)], pl.List(pl.String)))
    return said if where is None else pl.when(where).then(said).otherwise("degraded_by")


def _explain(model: Model, inputs: Floats, needs_reasons: Flags) -> list[list[str]]:
    reasons: list[list[str]] = [[] for _ in range(len(inputs))]
    rows = np.flatnonzero(needs_reasons)
    if not rows.size:
        return reasons
    codes = np.array([_CODES.index(_REASON_CODES[name]) for name in MODEL_FEATURES])
    # Of a broken model some contributions are no numbers: they are none. A score may be a probability all the same.
    explained = np.nan_to_num(model.explain(inputs[rows]), nan=0.0, posinf=0.0, neginf=0.0)
    # Contributions are additive, so those of the features behind one code are one contribution.
    by_code = explained @ (codes[:, None] == np.arange(len(_CODES)))
    for row, contributions in zip(rows, by_code, strict=True):
        strongest = np.argsort(-contributions, kind="stable")[:MAX_REASON_CODES]
        reasons[row] = [_CODES[code] for code in strongest if contributions[code] > 0]
    return reasons
