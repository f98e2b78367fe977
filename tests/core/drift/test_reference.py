"""The reference holds what the model was trained on, and of the score what it had not seen; nothing else."""

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from pipeline_assets.contracts.features import CUSTOMER_FEATURES, TERMINAL_FEATURES
from pipeline_assets.contracts.tables import DRIFT_REFERENCE
from pipeline_assets.core.drift import (
    SCORE,
    SUBJECTS,
    DriftParams,
    Reference,
    build_reference,
    count_payments,
    read_reference,
    write_reference,
)
from pipeline_assets.core.fraud_model import Floats, ModelFailedError, ModelTimeoutError
from tests.conftest import MakeTrainingSet
from tests.core.drift.samples import A_WEEK, AS_OF, DAY, FIRST, PARAMS, make_world, predict, refer, select

TERMINAL = [feature.name for feature in TERMINAL_FEATURES]


def tell(reference: Reference) -> pl.DataFrame:
    return write_reference(reference)


@pytest.fixture(scope="module")
def world(make_training_set: MakeTrainingSet) -> tuple[pl.DataFrame, pl.DataFrame]:
    return make_world(make_training_set)


def build(training_set: pl.DataFrame, later: pl.DataFrame, params: DriftParams = PARAMS) -> Reference:
    return build_reference(training_set, later, predict, AS_OF, params)


def test_every_input_of_the_model_and_the_score_are_in_it(make_training_set: MakeTrainingSet) -> None:
    reference = refer(make_training_set)
    assert tuple(reference) == SUBJECTS
    assert {one.n_windows for one in reference.values()} == {PARAMS.reference_weeks}
    assert {one.window_rows for one in reference.values()} == {A_WEEK}
    n_rows = {name: int(one.rows.sum()) for name, one in reference.items()}
    assert n_rows.pop(SCORE) == A_WEEK
    assert set(n_rows.values()) == {PARAMS.reference_weeks * A_WEEK}


def test_the_table_says_all_of_it(make_training_set: MakeTrainingSet) -> None:
    table = tell(refer(make_training_set))
    DRIFT_REFERENCE.schema.validate(table)
    assert tell(read_reference(table.sample(fraction=1, shuffle=True, seed=1))).equals(table)
    assert all(one.noise is not None and one.noise >= 0 for one in read_reference(table).values())


def test_a_reference_of_too_few_weeks_says_of_no_subject_how_weeks_differ(
    world: tuple[pl.DataFrame, pl.DataFrame],
) -> None:
    training_set, later = world
    short = training_set.filter(pl.col("event_time").dt.date() >= AS_OF - 4 * 7 * DAY)  # three weeks
    table = tell(build(short, later))
    assert "noise" not in set(table["metric"])
    assert tell(read_reference(table)).equals(table)


def test_the_order_of_rows_does_not_change_a_byte(world: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    training_set, later = world
    shuffled = training_set.sample(fraction=1, shuffle=True, seed=3), later.sample(fraction=1, shuffle=True, seed=4)
    assert tell(build(*shuffled)).equals(tell(build(*world)))


def test_rows_before_its_weeks_and_rows_without_a_mature_label_do_not_change_it(
    world: tuple[pl.DataFrame, pl.DataFrame],
) -> None:
    training_set, later = world
    odd = training_set.head(300).with_columns(amount_cents=pl.lit(10**9, pl.Int64))
    outside = [
        odd.with_columns(event_time=pl.lit(moment).cast(pl.Datetime("us", "UTC")))
        for moment in (FIRST - DAY, AS_OF - 7 * DAY)
    ]
    assert tell(build(pl.concat([training_set, *outside]), later)).equals(tell(build(*world)))


def test_the_score_is_that_of_payments_the_model_has_not_seen(world: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    training_set, later = world
    unseen = select(later, AS_OF - 7 * DAY).with_columns(amount_cents=pl.lit(77, pl.Int64))
    reference = build(training_set, unseen)
    score = reference[SCORE]
    (edge,) = score.edges
    assert edge == predict(np.full((1, len(SUBJECTS) - 1), 77.0))[0]
    assert score.rows.tolist() == [0, A_WEEK, 0]
    others = {name: one for name, one in reference.items() if name != SCORE}
    expected = {name: one for name, one in build(*world).items() if name != SCORE}
    assert tell(others).equals(tell(expected))


def test_what_arrived_late_and_may_have_been_trained_on_is_not_unseen(
    world: tuple[pl.DataFrame, pl.DataFrame],
) -> None:
    training_set, later = world
    unseen = select(later, AS_OF - 7 * DAY)
    late = unseen.with_columns(
        amount_cents=pl.lit(10**9, pl.Int64), event_time=pl.col("event_time") - pl.duration(days=7)
    )
    assert tell(build(training_set, pl.concat([unseen, late]))).equals(tell(build(training_set, unseen)))


def test_without_payments_after_the_training_there_is_no_reference_for_the_score(
    world: tuple[pl.DataFrame, pl.DataFrame],
) -> None:
    training_set, later = world
    assert set(SUBJECTS) - set(build(training_set, later.clear())) == {SCORE}


def test_a_feature_table_that_lacks_a_payment_is_no_value_of_its_features(
    world: tuple[pl.DataFrame, pl.DataFrame],
) -> None:
    _, later = world
    reference = build(*world)
    week = select(later, AS_OF).with_row_index()
    lacking = pl.col("index") % 2 == 0
    holes = week.with_columns(pl.when(~lacking).then(pl.col(name)).alias(name) for name in TERMINAL).drop("index")
    counts = count_payments(holes, AS_OF, 7, reference, predict)
    n_rows = {name: int(days.sum()) for name, days in counts.items()}
    assert {n_rows[name] for name in (*TERMINAL, SCORE)} == {A_WEEK // 2}
    assert n_rows["amount_cents"] == n_rows[CUSTOMER_FEATURES[0].name] == A_WEEK


def test_a_missing_value_is_counted_as_one(world: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    _, later = world
    week = select(later, AS_OF).with_columns(customer_amount_ratio=pl.lit(None, pl.Float64))
    counts = count_payments(week, AS_OF, 7, build(*world), predict)
    assert counts["customer_amount_ratio"][:, 0].sum() == A_WEEK


@pytest.mark.parametrize("error", [ModelFailedError("broken"), ModelTimeoutError("slow")])
def test_a_model_that_does_not_answer_leaves_the_score_without_rows(
    world: tuple[pl.DataFrame, pl.DataFrame], error: Exception
) -> None:
    def fail(_: Floats) -> Floats:
        raise error

    _, later = world
    reference = build(*world)
    week = select(later, AS_OF)
    counts = count_payments(week, AS_OF, 7, reference, fail)
    assert counts[SCORE].sum() == 0
    expected = count_payments(week, AS_OF, 7, reference, predict)
    assert all((counts[name] == days).all() for name, days in expected.items() if name != SCORE)


def test_scores_that_are_not_numbers_are_counted_as_missing(world: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    _, later = world
    week = select(later, AS_OF)
    counts = count_payments(week, AS_OF, 7, build(*world), lambda inputs: np.full(len(inputs), np.nan))
    assert counts[SCORE][:, 0].sum() == A_WEEK


def test_a_reference_that_holds_too_few_windows_is_refused() -> None:
    with pytest.raises(ValidationError, match="at least 4 windows of 14 days, found 7 weeks"):
        DriftParams(window_days=14, reference_weeks=7)


def test_a_window_of_no_whole_weeks_is_refused() -> None:
    with pytest.raises(ValidationError, match="multiple of 7"):
        DriftParams(window_days=10)
