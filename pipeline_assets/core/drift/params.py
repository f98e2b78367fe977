"""Every number that decides what counts as drift, and when it is answered by training anew."""

from typing import Final, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass as parameters

DAYS_A_WEEK: Final = 7
DAYS_A_MONTH: Final = 30
MIN_WINDOWS: Final = 4  # in the reference; fewer tell nothing of how they differ while nothing is wrong


@parameters(frozen=True, config=ConfigDict(extra="forbid"))
class DriftParams:
    """What counts as drift, and when it is answered by training anew. Defaults as measured by benchmarks/drift.py.

    Attributes:
        window_days: The latest days, which are compared with the reference together; whole weeks, so that weekends
            always weigh alike.
        reference_weeks: The latest weeks of the training set that are the reference. More of them know better how
            weeks differ; fewer have sooner left behind the first weeks of a history, in which features fill up.
        n_bins: Of each feature, with about as many of the reference's rows in each.
        false_alarms_a_month: The budget: how often a month, over all features and the score together, one may be
            called drifted although nothing has changed.
        min_distance: A smaller distance never counts; 0.1 is a tenth of a standard deviation.
        min_rows: A window with fewer rows is no evidence.
        persistent_days: On how many days in a row one and the same feature is drifted before it is answered.
        min_drifted_days: How many days since then must have mature labels, for training anew to learn something.
        cool_down_days: Between a training and one that answers drift.
    """

    window_days: int = Field(default=7, ge=DAYS_A_WEEK, le=28, multiple_of=DAYS_A_WEEK)
    reference_weeks: int = Field(default=12, ge=MIN_WINDOWS, le=52)
    n_bins: int = Field(default=20, ge=2, le=200)
    false_alarms_a_month: float = Field(default=1.0, gt=0, le=DAYS_A_MONTH)
    min_distance: float = Field(default=0.05, ge=0, le=10)
    min_rows: int = Field(default=500, ge=2)
    persistent_days: int = Field(default=3, ge=1, le=30)
    min_drifted_days: int = Field(default=7, ge=1, le=90)
    cool_down_days: int = Field(default=14, ge=0, le=365)

    @property
    def window_weeks(self) -> int:
        """The window, in weeks."""
        return self.window_days // DAYS_A_WEEK

    @property
    def reference_variant(self) -> str:
        """Those that decide on the bytes of the table ``drift_reference``, for the version of its code."""
        return f"-{self.window_days}d-{self.reference_weeks}w-{self.n_bins}b-{self.min_rows}r"

    @property
    def measure_variant(self) -> str:
        """Those that, with a reference, decide on the bytes of the table ``drift``, for the version of its code."""
        return f"-{self.window_days}d-{self.false_alarms_a_month:g}a-{self.min_distance:g}s-{self.min_rows}r"

    @model_validator(mode="after")
    def _reference_holds_windows(self) -> Self:
        if self.reference_weeks < MIN_WINDOWS * self.window_weeks:
            raise ValueError(
                f"reference_weeks: expected at least {MIN_WINDOWS} windows of {self.window_days} days, found "
                f"{self.reference_weeks} weeks"
            )
        return self
