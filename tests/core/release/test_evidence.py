"""What the release reads of the models: paired days, counts that can be added, and breaks that need no label."""

import dataclasses
import math
from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_assets.contracts.features import LABEL_DELAY_DAYS
from pipeline_assets.contracts.tables import MODEL_HEALTH
from pipeline_assets.core.release import ReleaseParams
from pipeline_assets.core.release.evidence import (
    Health,
    compare_days,
    find_break,
    measure_score_shift,
    pool_signals,
    read_health,
)
from tests.core.release.signals import ANSWERED, BROKEN, DAY, GAINS, KINDS, START, make_health, make_signals, stay_well

PARAMS = ReleaseParams()
TODAY = START + 10 * DAY
DELAY = LABEL_DELAY_DAYS * DAY
WELL = make_signals()
kinds = st.sampled_from([kind for kind in KINDS if kind != "empty"])  # which is so for every model of a day
counts = st.lists(st.integers(0, 500), min_size=4, max_size=4)


def make_frame(*rows: tuple[str, str, float | None]) -> pl.DataFrame:
    return pl.DataFrame(rows, MODEL_HEALTH.empty().schema, orient="row")


def count_bins(numbers: list[int]) -> dict[str, float]:
    return {f"score_bin_{place:02d}": float(number) for place, number in enumerate(numbers)}


# --- reading


def test_the_table_is_read_by_day_and_model_and_what_is_undefined_is_left_out() -> None:
    health = read_health(
        {
            START: make_frame(("b", "n_payments", 3.0), ("a", "n_payments", 5.0), ("a", "score_mean", None)),
            TODAY: make_frame(),
        }
    )
    assert health.days == {START: {"a": {"n_payments": 5.0}, "b": {"n_payments": 3.0}}, TODAY: {}}
    assert health.find(START, "a") == {"n_payments": 5.0}


@given(st.permutations([("a", "n_payments", 5.0), ("a", "n_invalid", 1.0), ("b", "n_payments", 3.0)]))
def test_the_order_of_the_rows_is_irrelevant(rows: list[tuple[str, str, float]]) -> None:
    assert read_health({START: make_frame(*rows)}) == read_health({START: make_frame(*sorted(rows))})


def test_a_model_that_cannot_be_asked_is_one_of_which_nothing_is_known() -> None:
    health = make_health({START: {"a": "unavailable", "b": "well"}})
    assert health.find(START, "a") is None
    assert health.find(START, "c") is None
    assert health.find(START, None) is None
    assert health.find(TODAY, "b") is None
    assert health.find(START, "b") == WELL


def test_looking_back_gives_the_days_that_there_are_in_their_order() -> None:
    health = make_health({START + n * DAY: {"a": "absent" if n == 7 else ANSWERED[n % 2]} for n in range(11)})
    found = health.list_back("a", TODAY - DAY, 4)
    assert found == [make_signals(ANSWERED[n % 2]) for n in (6, 8, 9)]


# --- comparing


def test_two_models_are_compared_on_the_days_on_which_both_were_measured() -> None:
    kinds = {
        **stay_well(START, 11, "a", "b"),
        START + 3 * DAY: {"a": "well", "b": "absent"},
        START + 4 * DAY: {"a": "better", "b": "well"},
    }
    gains = compare_days(make_health(kinds), "a", "b", START + DAY, START + 6 * DAY)
    assert gains.days == tuple(START + n * DAY - DELAY for n in (1, 2, 4, 5, 6))
    assert gains.average_precision == pytest.approx((0, 0, 0.15, 0, 0))
    assert gains.card_precision == pytest.approx((0, 0, 0.075, 0, 0))
    assert gains.cost_cents == pytest.approx((0, 0, 15, 0, 0))
    assert gains.mean == pytest.approx(0.03)


@given(st.lists(st.tuples(kinds, kinds), max_size=11))
def test_what_one_model_gains_the_other_loses(pairs: list[tuple[str, str]]) -> None:
    health = make_health({START + n * DAY: {"a": a, "b": b} for n, (a, b) in enumerate(pairs)})
    gains, losses = compare_days(health, "a", "b", START, TODAY), compare_days(health, "b", "a", START, TODAY)
    assert gains.days == losses.days
    for name in ("average_precision", "card_precision", "cost_cents"):
        assert getattr(gains, name) == tuple(-value for value in getattr(losses, name))
    assert not gains.days or not any(gains.n_frauds) or gains.mean == -losses.mean


@pytest.mark.parametrize("signal", [name for name in WELL if name.startswith("mature_")])
def test_a_day_without_one_of_the_metrics_is_no_evidence(signal: str) -> None:
    lacking = {name: value for name, value in WELL.items() if name != signal}
    health = Health({START: {"a": WELL, "b": lacking}, TODAY: {"a": WELL, "b": WELL}})
    assert compare_days(health, "a", "b", START, TODAY).days == (TODAY - DELAY,)
    assert compare_days(health, "b", "a", START, TODAY).days == (TODAY - DELAY,)


def test_the_mean_gain_is_weighted_by_frauds_and_without_any_it_is_no_number() -> None:
    few, many = make_signals("better", n_frauds=10), make_signals("worse", n_frauds=30)
    well = {n: make_signals(n_frauds=n) for n in (10, 30)}
    gains = compare_days(
        Health({START: {"a": few, "b": well[10]}, TODAY: {"a": many, "b": well[30]}}), "a", "b", START, TODAY
    )
    assert gains.mean == pytest.approx((10 * 0.15 - 30 * 0.3) / 40)
    assert math.isnan(dataclasses.replace(gains, n_frauds=(0.0, 0.0)).mean)
    assert math.isnan(compare_days(Health({}), "a", "b", START, TODAY).mean)


@given(st.integers(-3, 14), st.integers(1, 20))
def test_looking_back_at_gains_is_by_the_day_of_the_payments(offset: int, n_days: int) -> None:
    gains, last = (
        compare_days(make_health(stay_well(START, 11, "a", "b")), "a", "b", START, TODAY),
        START + offset * DAY,
    )
    kept = gains.list_back(last, n_days)
    assert set(kept.days) == {day for day in gains.days if last - n_days * DAY < day <= last}
    assert len(kept.average_precision) == len(kept.card_precision) == len(kept.n_frauds) == len(kept.days)


# --- what is broken without any label


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("invalid", "500 of 1000 scores were no probabilities"),
        ("timed_out", "did not answer in time"),
        ("flags", "500 payments flagged, expected about 50 of 1000"),
        ("moved", "its scores have moved by 6.00 in log-odds"),
        ("constant", "it says the same of all 1000 payments"),
    ],
)
def test_a_break_is_named(kind: str, why: str) -> None:
    assert why in str(find_break(make_signals(kind), [WELL, WELL], PARAMS))
    assert kind in BROKEN


@pytest.mark.parametrize("kind", [*GAINS, "empty"])
def test_what_says_as_much_as_usual_is_not_broken(kind: str) -> None:
    assert find_break(make_signals(kind), [WELL], PARAMS) is None


@pytest.mark.parametrize("kind", ["flags", "moved", "constant", "well"])
@pytest.mark.parametrize("usual", [[], [make_signals("empty")]])
def test_where_nothing_is_known_of_what_is_usual_only_what_is_wrong_by_itself_is_broken(
    kind: str, usual: list[dict[str, float]]
) -> None:
    assert find_break(make_signals(kind), usual, PARAMS) is None
    for broken in ("invalid", "timed_out"):
        assert find_break(make_signals(broken), usual, PARAMS) is not None


def test_where_the_others_say_the_same_of_everybody_too_it_is_the_inputs_and_not_the_model() -> None:
    same = make_signals("constant")
    assert find_break(same, [same], PARAMS) is None
    assert find_break(same, [WELL], PARAMS) is not None


def test_a_model_that_flags_hardly_anything_any_more_is_broken_too() -> None:
    assert "0 payments flagged" in str(find_break({**WELL, "flagged_share": 0.0}, [WELL], PARAMS))
    assert "1000 payments flagged" in str(find_break({**WELL, "flagged_share": 1.0}, [WELL], PARAMS))


@given(st.integers(0, 19), st.integers(0, 19))
def test_the_ratio_of_a_few_flagged_payments_says_nothing(flagged: int, usual: int) -> None:
    now, before = {**WELL, "flagged_share": flagged / 1000}, {**WELL, "flagged_share": usual / 1000}
    assert find_break(now, [before], PARAMS) is None


@given(st.integers(0, 3))
def test_a_share_of_invalid_scores_that_is_tolerated_is_no_break(n_invalid: int) -> None:
    broken = find_break({**WELL, "n_invalid": float(n_invalid)}, [WELL], PARAMS)
    assert (broken is None) == (n_invalid <= PARAMS.max_invalid_share * 1000)


# --- counts that can be added


@given(st.lists(counts, min_size=1, max_size=5), st.integers(0, 5))
def test_the_bins_of_days_can_be_added_in_any_grouping(days: list[list[int]], cut: int) -> None:
    signals = [{"n_payments": float(sum(day)), "flagged_share": 0.05, **count_bins(day)} for day in days]
    whole, parts = pool_signals(signals), [pool_signals(signals[:cut]), pool_signals(signals[cut:])]
    again = pool_signals(parts)
    assert {name: again.get(name, 0.0) for name in whole} == pytest.approx(whole)
    assert whole["n_payments"] == sum(map(sum, days))


def test_no_day_at_all_is_no_payment() -> None:
    assert pool_signals([])["n_payments"] == 0
    assert pool_signals([])["flagged_share"] == 0


@given(counts, counts)
def test_a_shift_of_scores_is_the_same_both_ways_and_never_negative(one: list[int], other: list[int]) -> None:
    shift = measure_score_shift(count_bins(one), count_bins(other))
    assert shift >= 0
    assert shift == pytest.approx(measure_score_shift(count_bins(other), count_bins(one)))


@given(counts, st.integers(1, 100))
def test_the_same_shape_on_more_payments_is_no_shift(numbers: list[int], times: int) -> None:
    more = count_bins([number * times for number in numbers])
    assert measure_score_shift(count_bins(numbers), more) == pytest.approx(0, abs=1e-9)


@given(counts, st.integers(0, 3), st.integers(1, 8))
def test_scores_that_all_move_by_some_bins_have_moved_by_as_many(numbers: list[int], first: int, steps: int) -> None:
    before = [0] * first + numbers + [0] * (12 - first)
    after = [0] * (first + steps) + numbers + [0] * (12 - first - steps)
    moved = measure_score_shift(count_bins(after[:16]), count_bins(before[:16]))
    assert moved == pytest.approx(steps if any(numbers) else 0)


@given(counts)
def test_an_empty_histogram_has_not_moved(numbers: list[int]) -> None:
    assert measure_score_shift(count_bins(numbers), count_bins([0, 0, 0, 0])) == 0
    assert measure_score_shift({}, count_bins(numbers)) == 0


def test_of_days_before_the_first_nothing_is_known() -> None:
    assert Health({}).list_back("a", date(2026, 3, 1), 28) == []
