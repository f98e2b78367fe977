"""How far a window of days lies from the reference, and from which distance on that is drift."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipeline_assets.contracts.tables import DRIFT
from pipeline_assets.core.checks import Finding, Level
from pipeline_assets.core.drift.bins import Counts, compute_psi, compute_squared_distance
from pipeline_assets.core.drift.params import DAYS_A_MONTH, DriftParams
from pipeline_assets.core.drift.reference import SUBJECTS, Reference, SubjectReference

Verdicts = Mapping[str, bool]  # by subject, whether it is drifted; one without evidence is not in it


@dataclass(frozen=True)
class Comparison:
    """One subject of one window against the reference.

    Attributes:
        subject: A feature, or the score.
        n_rows: Rows of the window.
        distance: See :func:`compute_squared_distance`; its root, 0 where that is negative. None without evidence.
        psi: See :func:`compute_psi`; None without evidence.
        threshold: The distance beyond which it is drifted; None where that cannot be told.
    """

    subject: str
    n_rows: int
    distance: float | None = None
    psi: float | None = None
    threshold: float | None = None

    @property
    def is_drifted(self) -> bool | None:
        """Whether it is beyond its threshold; None without evidence."""
        return None if self.distance is None or self.threshold is None else self.distance > self.threshold

    @property
    def strain(self) -> float:
        """The distance as a multiple of the threshold; 0 without evidence."""
        return self.distance / self.threshold if self.distance is not None and self.threshold else 0.0


def compare_window(reference: Reference, rows: Mapping[str, Counts], params: DriftParams) -> list[Comparison]:
    """Compare a window with the reference, subject by subject.

    A subject of which there is no reference, or whose window has fewer than ``min_rows`` rows, has no distance and is
    neither drifted nor not.

    Args:
        reference: Of the model.
        rows: By subject, rows of the window by bin: the sum over its days.
        params: See there.
    """
    return [_compare(subject, reference.get(subject), rows.get(subject), params) for subject in SUBJECTS]


def tabulate(comparisons: list[Comparison]) -> pl.DataFrame:
    """The table ``drift`` of one day."""
    found = [
        (one.subject, metric, None if value is None else float(value))
        for one in comparisons
        for metric, value in (
            ("n_rows", one.n_rows),
            ("distance", one.distance),
            ("psi", one.psi),
            ("threshold", one.threshold),
            ("is_drifted", one.is_drifted),
        )
    ]
    return pl.DataFrame(found, DRIFT.empty().schema, orient="row").sort(DRIFT.order)


def read_verdicts(table: pl.DataFrame) -> Verdicts:
    """What a table ``drift`` says of each subject that there is evidence of."""
    found = table.filter(pl.col("metric") == "is_drifted", pl.col("value").is_not_null())
    return {subject: value == 1 for subject, value in found.select("subject", "value").iter_rows()}


def judge_drift(table: pl.DataFrame) -> Finding:
    """Whether nothing is drifted; a table without evidence passes, and says so."""
    verdicts = read_verdicts(table)
    drifted = sorted(subject for subject, is_drifted in verdicts.items() if is_drifted)
    if not verdicts:
        explanation = "no evidence: no reference, or too few payments to compare with it"
    elif drifted:
        explanation = (
            f"of {len(verdicts)} inputs and scores expected none beyond its threshold, found {', '.join(drifted)}; "
            "look at the plots of the day; the sensor drift_detected asks for a new model once that can help"
        )
    else:
        explanation = f"none of {len(verdicts)} inputs and scores is beyond its threshold"
    facts = {"subjects": len(verdicts), "drifted": len(drifted)}
    return Finding(passed=not drifted, level=Level.WARN, explanation=explanation, facts=facts)


def find_threshold(one: SubjectReference, n_rows: int, params: DriftParams) -> float | None:
    """The distance beyond which a window of so many rows is drifted; None where the reference cannot tell.

    Of the squared distance of one more window, in units of those between the windows of the reference, it is the
    quantile of an F distribution with 1 and (windows - 1) degrees of freedom: Student's prediction interval. A squared
    distance has at least the one degree of freedom (Box, 1954), and with one its tail is the longest. The budget is
    shared out evenly over subjects and days (Bonferroni), as if no false alarm lasted longer than a day.
    """
    from scipy.stats import t

    if one.noise is None:
        return None
    share = params.false_alarms_a_month / (DAYS_A_MONTH * len(SUBJECTS))
    quantile = float(t.ppf(1 - share / 2, one.n_windows - 1))
    # Chance weighs more in a window of fewer rows. In one of more it weighs less, but how weeks differ does not.
    noise = one.noise * max(1.0, one.window_rows / n_rows)
    return float(max(params.min_distance, quantile * np.sqrt(noise)))


def _compare(subject: str, one: SubjectReference | None, rows: Counts | None, params: DriftParams) -> Comparison:
    n_rows = 0 if rows is None else int(rows.sum())
    if one is None or rows is None or n_rows < params.min_rows:
        return Comparison(subject, n_rows)
    return Comparison(
        subject,
        n_rows,
        distance=float(np.sqrt(max(0.0, compute_squared_distance(one.rows, rows)))),
        psi=compute_psi(one.rows, rows),
        threshold=find_threshold(one, n_rows, params),
    )
