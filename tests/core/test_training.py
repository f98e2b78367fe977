"""Training: the same bytes whatever happens on the way, and clear words where no model can be trained."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import lightgbm
import numpy as np
import polars as pl
import pytest

from pipeline_assets.contracts.tables import TRAINING_SET
from pipeline_assets.core.features import MODEL_FEATURES, make_model_inputs
from pipeline_assets.core.training import TrainedModel, TrainingDataError, TrainingParams, train

PARAMS = TrainingParams(rounds=40, checkpoint_rounds=5, learning_rate=0.1)


class Killed(BaseException):
    """Ends a training as a signal would: nothing in it may catch this."""


class Shelf:
    """One place for a checkpoint; the training dies when it has put down ``deadly`` of them."""

    def __init__(self, deadly: int = 10**6) -> None:
        self.content: bytes | None = None
        self.saved: list[bytes] = []
        self.deadly = deadly

    def load(self) -> bytes | None:
        return self.content

    def save(self, content: bytes) -> None:
        self.content = content
        self.saved.append(content)
        if len(self.saved) == self.deadly:
            raise Killed


@pytest.fixture(scope="module")
def rows(make_training_set: Callable[[int], pl.DataFrame]) -> pl.DataFrame:
    frame = make_training_set(3000)
    TRAINING_SET.schema.validate(frame)
    return frame


@pytest.fixture(scope="module")
def whole(rows: pl.DataFrame) -> TrainedModel:
    return train(rows, PARAMS)


@pytest.mark.parametrize("deadly", range(1, 8))
def test_a_training_killed_after_any_checkpoint_resumes_to_the_same_bytes(
    rows: pl.DataFrame, whole: TrainedModel, deadly: int
) -> None:
    shelf = Shelf(deadly)
    with pytest.raises(Killed):
        train(rows, PARAMS, shelf)
    resumed = train(rows, PARAMS, shelf)
    assert resumed.resumed_from == 5 * deadly
    assert resumed.ignored_checkpoint is None
    assert (resumed.text, resumed.card) == (whole.text, whole.card)


def test_checkpoints_change_no_byte_however_often_they_are_saved(rows: pl.DataFrame, whole: TrainedModel) -> None:
    shelf = Shelf()
    every_round = train(rows, replace(PARAMS, checkpoint_rounds=1), shelf)
    assert every_round.text == whole.text
    assert len(shelf.saved) == 38  # none after the first round, nor after the last, which gives the model


def test_a_training_that_was_killed_again_and_again_ends_in_the_same_bytes(
    rows: pl.DataFrame, whole: TrainedModel
) -> None:
    shelf, kills = Shelf(), 0
    while True:
        shelf.deadly = len(shelf.saved) + 1
        try:
            ended = train(rows, PARAMS, shelf)
            break
        except Killed:
            kills += 1
    assert (kills, ended.resumed_from, ended.text) == (7, 35, whole.text)


def test_features_that_hardly_ever_occur_together_do_not_spoil_the_resume(
    make_training_set: Callable[[int], pl.DataFrame],
) -> None:
    # LightGBM would put these three into one bundle, and the rows in which two of them meet would lose a value.
    rows = make_training_set(20_000)
    random = np.random.default_rng(1)
    sparse, places = np.zeros((3, rows.height)), random.permutation(rows.height)
    for number in range(3):
        sparse[number, places[1000 * number : 1000 * number + 1001]] = random.integers(1, 9, 1001)
    odds = -3 + sparse[0] - sparse[1] + sparse[2]
    frame = rows.with_columns(
        event_time=pl.lit(datetime(2026, 1, 7, 12, tzinfo=UTC)),  # neither night nor weekend: these hinder the bundle
        customer_outlier_count_7d=pl.Series(sparse[0]).cast(pl.Int64),
        terminal_fraud_run=pl.Series(sparse[1]).cast(pl.Int64),
        terminal_ordinary_fraud_run=pl.Series(sparse[2]).cast(pl.Int64),
        is_fraud=pl.Series(random.random(rows.height) < 1 / (1 + np.exp(-odds))),
    )
    shelf = Shelf(4)
    with pytest.raises(Killed):
        train(frame, PARAMS, shelf)
    assert train(frame, PARAMS, shelf).text == train(frame, PARAMS).text


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content.replace(b"leaf_value=", b"leaf_value=9", 1),
        lambda content: bytes([content[0] ^ 1]) + content[1:],
        lambda content: b"\xff" + content,
    ],
    ids=["empty", "truncated", "another value", "another digest", "another first byte"],
)
def test_a_damaged_checkpoint_is_ignored_and_said_so(
    rows: pl.DataFrame, whole: TrainedModel, damage: Callable[[bytes], bytes]
) -> None:
    shelf = Shelf(3)
    with pytest.raises(Killed):
        train(rows, PARAMS, shelf)
    assert shelf.content is not None
    shelf.content = damage(shelf.content)
    anew = train(rows, PARAMS, shelf)
    assert anew.text == whole.text
    assert anew.resumed_from == 0
    assert anew.ignored_checkpoint is not None


@pytest.mark.parametrize(
    ("change_rows", "change_params"),
    [
        (lambda rows: rows.head(2999), {}),
        (lambda rows: rows.with_columns(is_fraud=pl.col("is_fraud") ^ (pl.col("transaction_id") == "t0000000")), {}),
        (lambda rows: rows.with_columns(amount_cents=pl.col("amount_cents") + 1), {}),
        (lambda rows: rows, {"learning_rate": 0.2}),
        (lambda rows: rows, {"rounds": 41}),
    ],
    ids=["fewer rows", "another label", "another value", "another rate", "more rounds"],
)
def test_a_checkpoint_of_another_training_is_never_used(
    rows: pl.DataFrame, change_rows: Callable[[pl.DataFrame], pl.DataFrame], change_params: dict[str, float]
) -> None:
    shelf = Shelf(3)
    with pytest.raises(Killed):
        train(rows, PARAMS, shelf)
    other_rows, other_params = change_rows(rows), replace(PARAMS, **change_params)  # type: ignore[arg-type]
    trained = train(other_rows, other_params, shelf)
    assert trained.resumed_from == 0
    assert trained.ignored_checkpoint is not None
    assert "other rows, parameters or code" in trained.ignored_checkpoint
    assert trained.text == train(other_rows, other_params).text


def test_the_order_of_rows_changes_no_byte(rows: pl.DataFrame, whole: TrainedModel) -> None:
    shuffled = train(rows.sample(fraction=1.0, shuffle=True, seed=1), PARAMS)
    assert (shuffled.text, shuffled.card) == (whole.text, whole.card)


def test_the_model_is_the_one_that_lightgbm_trains_in_one_go(rows: pl.DataFrame, whole: TrainedModel) -> None:
    trained = lightgbm.Booster(model_str=whole.text.decode())
    assert trained.num_trees() == PARAMS.rounds
    assert trained.feature_name() == list(MODEL_FEATURES)
    inputs = make_model_inputs(rows)
    settings = {
        "objective": "binary", "learning_rate": 0.1, "num_leaves": 8, "min_sum_hessian_in_leaf": 1.0, "lambda_l2": 1.0,
        "num_threads": 1, "verbosity": -1, "deterministic": True, "force_col_wise": True, "min_data_in_bin": 1,
        "enable_bundle": False,
        "max_bin_by_feature": [
            4095 if name in {"amount_cents", "customer_amount_ratio", "customer_largest_ratio_14d",
                             "terminal_least_fraud_ratio"} else 255 for name in MODEL_FEATURES
        ],
    }  # fmt: skip
    data = lightgbm.Dataset(inputs, rows["is_fraud"].cast(pl.Float64).to_numpy(), params=settings)
    plain = lightgbm.train(settings, data, 40)
    np.testing.assert_allclose(trained.predict(inputs), np.asarray(plain.predict(inputs)), rtol=1e-9)


def test_the_text_states_the_rounds_of_the_whole_training_and_no_path(whole: TrainedModel) -> None:
    assert b"[num_iterations: 40]" in whole.text
    assert b"[data: ]" in whole.text


def test_the_card_says_what_the_model_was_trained_on(rows: pl.DataFrame, whole: TrainedModel) -> None:
    assert whole.card["n_rows"] == 3000
    assert whole.card["n_frauds"] == rows["is_fraud"].sum()
    assert whole.card["first_event_time"].startswith("2026-01-01T00:00:00")
    assert datetime.fromisoformat(whole.card["last_event_time"]) == datetime(2026, 1, 3, 1, 59, tzinfo=UTC)
    assert whole.card["params"]["rounds"] == 40
    assert whole.card["typical_inputs"]["amount_cents"] == rows["amount_cents"].median()
    assert whole.card["typical_inputs"]["customer_amount_ratio"] == rows["customer_amount_ratio"].median()


def with_value(column: str, value: float) -> Callable[[pl.DataFrame], pl.DataFrame]:
    first = pl.col("transaction_id") == "t0000000"
    return lambda rows: rows.with_columns(pl.when(first).then(pl.lit(value)).otherwise(pl.col(column)).alias(column))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda rows: rows.clear(), "0 frauds in 0 rows"),
        (lambda rows: rows.filter(~pl.col("is_fraud")), "0 frauds in"),
        (lambda rows: rows.filter("is_fraud"), "chargebacks arrive"),
        (lambda rows: rows.drop("is_fraud"), r"found no \['is_fraud'\]"),
        (lambda rows: rows.drop("terminal_tx_count_7d"), r"found no \['terminal_tx_count_7d'\]"),
        (with_value("customer_amount_mean_7d", float("inf")), r"'customer_amount_mean_7d': 1"),
        (with_value("customer_amount_mean_7d", float("nan")), r"'customer_amount_mean_7d': 1"),
        (with_value("customer_amount_ratio", float("-inf")), r"'customer_amount_ratio': 1"),
    ],
    ids=["no rows", "no fraud", "only frauds", "no label", "no feature", "infinite", "missing", "minus infinite"],
)
def test_rows_that_cannot_train_a_model_are_refused_by_name(
    rows: pl.DataFrame, spoil: Callable[[pl.DataFrame], pl.DataFrame], message: str
) -> None:
    with pytest.raises(TrainingDataError, match=message):
        train(spoil(rows), PARAMS)


def test_rows_too_few_for_a_single_split_still_give_a_model(rows: pl.DataFrame) -> None:
    few = pl.concat([rows.filter("is_fraud").head(2), rows.filter(~pl.col("is_fraud")).head(10)])
    shelf = Shelf(1)
    with pytest.raises(Killed):
        train(few, PARAMS, shelf)
    assert train(few, PARAMS, shelf).text == train(few, PARAMS).text
