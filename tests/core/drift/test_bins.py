"""Bins: each row is in one, days add up, and the distance, unlike PSI, does not depend on how many rows there are."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline_assets.core.drift.bins import (
    Counts,
    compute_psi,
    compute_squared_distance,
    count_days,
    make_edges,
)

LAW = settings(deadline=None, max_examples=60)
VALUES = st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0, 42.0, math.nan])  # few, so that many rows share one
ROWS = st.lists(st.tuples(VALUES, st.integers(0, 3)), max_size=60)  # value, day
N_DAYS = 4
EDGES = np.array([0.0, 1.0, 2.0])
BIN_NUMBERS = st.integers(0, EDGES.size + 1)


def count(rows: list[tuple[float, int]], edges: np.ndarray[tuple[int], np.dtype[np.float64]] = EDGES) -> Counts:
    values = np.array([value for value, _ in rows], np.float64)
    return count_days(values, np.array([day for _, day in rows], np.int64), N_DAYS, edges)


def tally(bins: list[int]) -> Counts:
    return np.bincount(np.array(bins, np.int64), minlength=EDGES.size + 2)


@LAW
@given(ROWS, ROWS)
def test_the_counts_of_two_halves_add_up_to_those_of_the_whole(
    some: list[tuple[float, int]], others: list[tuple[float, int]]
) -> None:
    np.testing.assert_array_equal(count(some) + count(others), count(some + others))


@LAW
@given(ROWS)
def test_the_days_add_up_to_what_they_are_without_days(rows: list[tuple[float, int]]) -> None:
    np.testing.assert_array_equal(count(rows).sum(axis=0), count([(value, 0) for value, _ in rows])[0])


@LAW
@given(ROWS, st.data())
def test_the_order_of_rows_does_not_matter(rows: list[tuple[float, int]], data: st.DataObject) -> None:
    np.testing.assert_array_equal(count(data.draw(st.permutations(rows))), count(rows))


@LAW
@given(ROWS, st.integers(2, 8))
def test_every_row_is_in_one_bin_of_its_day(rows: list[tuple[float, int]], n_bins: int) -> None:
    counted = count(rows, make_edges(np.array([value for value, _ in rows], np.float64), n_bins))
    assert counted.sum(axis=1).tolist() == [sum(day == number for _, day in rows) for number in range(N_DAYS)]
    assert counted[:, 0].sum() == sum(math.isnan(value) for value, _ in rows)


@LAW
@given(st.lists(VALUES, min_size=1), st.integers(2, 8))
def test_rows_with_one_value_are_in_one_bin_and_a_value_that_many_share_has_one_of_its_own(
    values: list[float], n_bins: int
) -> None:
    known = [value for value in values if not math.isnan(value)]
    edges = make_edges(np.array(values, np.float64), n_bins)
    bins = {value: int(np.searchsorted(edges, value)) for value in known}
    for value in set(known):
        if known.count(value) * n_bins >= len(known):
            assert [other for other, number in bins.items() if number == bins[value]] == [value]


def test_bins_of_values_that_differ_hold_equal_shares() -> None:
    edges = make_edges(np.arange(1000.0), 20)
    assert count_days(np.arange(1000.0), np.zeros(1000, np.int64), 1, edges)[0].tolist() == [0, *[50] * 20]


@pytest.mark.parametrize("values", [[], [math.nan] * 3])
def test_values_of_which_none_is_known_have_no_edges(values: list[float]) -> None:
    assert make_edges(np.array(values, np.float64), 20).size == 0


@LAW
@given(st.lists(BIN_NUMBERS, min_size=2, max_size=9), st.lists(BIN_NUMBERS, min_size=2, max_size=7), st.data())
def test_the_squared_distance_of_parts_is_on_average_that_of_the_whole(
    reference: list[int], now: list[int], data: st.DataObject
) -> None:
    size = data.draw(st.integers(2, len(now)))
    parts = [compute_squared_distance(tally(reference), tally(list(part))) for part in combinations(now, size)]
    assert np.mean(parts) == pytest.approx(compute_squared_distance(tally(reference), tally(now)), abs=1e-9)


def test_psi_of_parts_is_on_average_more_than_that_of_the_whole() -> None:
    reference, now = tally([0, 1, 1, 2, 3, 4] * 20), [0, 1, 1, 2, 3, 4]
    parts = [compute_psi(reference, tally(list(part))) for part in combinations(now, 3)]
    assert np.mean(parts) > 2 * compute_psi(reference, tally(now))


@LAW
@given(st.lists(BIN_NUMBERS, min_size=2), st.integers(2, 50))
def test_the_same_shares_are_no_distance_apart(rows: list[int], times: int) -> None:
    reference, now = tally(rows * times), tally(rows)
    assert compute_squared_distance(reference, now, corrects_chance=False) == pytest.approx(0, abs=1e-12)
    assert compute_squared_distance(reference, now) <= 1e-12


@LAW
@given(st.lists(BIN_NUMBERS), st.lists(BIN_NUMBERS))
def test_psi_is_never_negative_and_the_same_both_ways(some: list[int], others: list[int]) -> None:
    assert compute_psi(tally(some), tally(others)) >= 0
    assert compute_psi(tally(some), tally(others)) == pytest.approx(compute_psi(tally(others), tally(some)))
    assert compute_psi(tally(some), tally(some)) == 0


def test_psi_and_distance_are_as_counted_by_hand() -> None:
    reference, now = np.array([0, 50, 50]), np.array([0, 80, 20])  # missing, below, above
    p, q = np.array([0.5, 50.5, 50.5]) / 101.5, np.array([0.5, 80.5, 20.5]) / 101.5
    assert compute_psi(reference, now) == pytest.approx(float(((q - p) * np.log(q / p)).sum()))
    # One edge that splits the reference: 0.3 apart, in units of its standard deviation, 0.5.
    assert compute_squared_distance(reference, now, corrects_chance=False) == pytest.approx((0.3 / 0.5) ** 2)
    chance = (0.5 * 0.5 / 99 + 0.8 * 0.2 / 99) / 0.25
    assert compute_squared_distance(reference, now) == pytest.approx((0.3 / 0.5) ** 2 - chance)


def test_a_share_far_below_one_row_in_a_hundred_weighs_no_more_than_that() -> None:
    reference, now = np.array([0, 100_000, 0]), np.array([0, 99_600, 400])  # 4 in 1,000 have a value that is new
    assert compute_squared_distance(reference, now, corrects_chance=False) == pytest.approx(0.004**2 / 0.01)


@LAW
@given(st.lists(BIN_NUMBERS, min_size=2), st.lists(BIN_NUMBERS, min_size=2))
def test_a_distance_that_is_not_corrected_is_never_less_than_the_corrected_one(
    some: list[int], others: list[int]
) -> None:
    assume(len(set(some)) > 1)
    plain = compute_squared_distance(tally(some), tally(others), corrects_chance=False)
    assert plain >= max(0.0, compute_squared_distance(tally(some), tally(others)) - 1e-12)
