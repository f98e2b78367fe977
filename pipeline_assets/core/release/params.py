"""What may be tuned about the release of models."""

from itertools import pairwise
from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass as validated

from pipeline_assets.core.release.sequential import SequentialParams

_STRICT: Final = ConfigDict(extra="forbid")
_Share = Annotated[float, Field(gt=0, lt=1)]


@validated(frozen=True, config=_STRICT)
class ReleaseParams:
    """When a model gets traffic, and when it loses it.

    Attributes:
        tolerated_loss: How much average precision a model may have less than the champion; a newer model of the
            same quality is preferred, because it knows the newer frauds.
        tolerated_cost_share: Which share of the champion's costs a model on trial may cost more.
        min_frauds: Frauds below which evidence is none: of the test week for a trial to begin, and of all mature days
            of a trial for its end.
        shadow_days: How long a model scores in shadow before it decides on anything.
        canary_shares: The shares of the customers that a canary decides for, one after the other, before all of them.
        stage_days: How long each share lasts at least.
        max_trial_days: After so many days a trial that has shown neither ends; the next candidate has its turn.
        max_invalid_share: Share of scores that are no probabilities above which a model is broken.
        max_flagged_ratio: A model is broken that flags so many times more payments, or less, than it should.
        max_score_shift: So is one whose scores have moved further than this, on average, in log-odds.
        min_flagged: Flagged payments that are to be expected of a day before their ratio says anything.
        usual_days: The days before on which is seen what is usual for the champion.
        accuracy_window_days: The latest mature days by which the champion is judged, and a model on trial at once.
        accuracy_drop: The backup takes over where the champion's average precision on these days is this much less
            than the backup's, on the same payments; a model on trial goes that is so much less precise than the
            champion.
        recovery_days: The champion takes over again after so many days on which it was well.
        give_up_days: After so many days without it, the backup becomes champion.
        gate: The test on mature labels that stands before all of the traffic.
    """

    tolerated_loss: float = Field(default=0.02, ge=0, lt=1)
    tolerated_cost_share: float = Field(default=0.05, ge=0, lt=1)
    min_frauds: int = Field(default=50, ge=1)
    shadow_days: int = Field(default=7, ge=1)
    canary_shares: tuple[_Share, ...] = (0.01, 0.05, 0.25)
    stage_days: int = Field(default=3, ge=1)
    max_trial_days: int = Field(default=56, ge=2, le=56)
    max_invalid_share: float = Field(default=0.001, ge=0, lt=1)
    max_flagged_ratio: float = Field(default=4.0, gt=1)
    max_score_shift: float = Field(default=2.0, gt=0)
    min_flagged: float = Field(default=20.0, gt=0)
    usual_days: int = Field(default=28, ge=2, le=56)
    accuracy_window_days: int = Field(default=7, ge=1, le=28)
    accuracy_drop: float = Field(default=0.1, gt=0, lt=1)
    recovery_days: int = Field(default=7, ge=1)
    give_up_days: int = Field(default=28, ge=1)
    gate: SequentialParams = Field(default_factory=SequentialParams)

    @model_validator(mode="after")
    def _shares_grow(self) -> Self:
        if any(later <= earlier for earlier, later in pairwise(self.canary_shares)):
            raise ValueError(f"canary_shares: expected shares that grow, found {list(self.canary_shares)}")
        return self
