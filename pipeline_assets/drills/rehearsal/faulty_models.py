"""Models that go wrong on purpose: what is wrong with one, and a store that serves it so for as long as it lasts."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from pipeline_assets.adapters.models import ModelStore
from pipeline_assets.adapters.storage import Storage
from pipeline_assets.contracts.features import Feature
from pipeline_assets.core.fraud_model import Flags, Floats, FraudModel

_LEAST: Final = 1e-9  # a probability is kept this far from 0 and 1, so that its log-odds are finite
_MOST_NOISE: Final = 8.0  # standard deviation in log-odds, at which hardly anything is left of a model
_BISECTIONS: Final = 16
Labels = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


class Wrong(StrEnum):
    """What can be wrong with a model."""

    NOISY = "noisy"  # a little worse at telling frauds from honest payments, and nothing else
    INVERTED = "inverted"  # the probability that the payment is honest
    CONSTANT = "constant"
    NO_NUMBER = "no_number"
    SLOW = "slow"
    MIXED_UP = "mixed_up"  # a share of the payments gets the score of another one: nothing shows but in labels


class Fault(Protocol):
    """What a fault does to the answer of a model; that to a payment depends on its inputs only."""

    def distort(self, inputs: Floats, scores: Floats) -> Floats:
        """The scores that the faulty model gives, in the place of its own ``scores`` of ``inputs``."""


@dataclass(frozen=True, eq=False)
class Noisy:
    """Normal noise on the log-odds; what comes out is put back on the scale of what went in.

    So the ranking is worse, and the distribution of the scores is what it was: no leading signal can see it.

    Attributes:
        deviation: The standard deviation of the noise.
        seed: Another one is other noise.
        noisy: Scores of some payments with noise, in order.
        sound: Their scores without, in order.
    """

    deviation: float
    seed: int
    noisy: Floats
    sound: Floats

    def distort(self, inputs: Floats, scores: Floats) -> Floats:
        """See :class:`Fault`."""
        noisy = add_noise(scores, draw_normals(inputs, self.seed), self.deviation)
        distorted: Floats = np.interp(noisy, self.noisy, self.sound)
        return distorted


@dataclass(frozen=True)
class Inverted:
    """One less the probability."""

    def distort(self, inputs: Floats, scores: Floats) -> Floats:
        """See :class:`Fault`."""
        return 1 - scores


@dataclass(frozen=True)
class Constant:
    """The same for everybody; 0.01 is about the share of frauds, at which nearly everything is approved."""

    score: float = 0.01

    def distort(self, inputs: Floats, scores: Floats) -> Floats:
        """See :class:`Fault`."""
        return np.full(len(scores), self.score)


@dataclass(frozen=True)
class NoNumber:
    """NaN for everybody."""

    def distort(self, inputs: Floats, scores: Floats) -> Floats:
        """See :class:`Fault`."""
        return np.full(len(scores), np.nan)


@dataclass(frozen=True)
class Slow:
    """The right answer, later: it really waits."""

    seconds: float

    def distort(self, inputs: Floats, scores: Floats) -> Floats:
        """See :class:`Fault`."""
        time.sleep(self.seconds)
        return scores


@dataclass(frozen=True)
class MixedUp:
    """A share of the payments gets one of the usual scores, whichever; so their distribution stays as it is."""

    share: float
    usual: tuple[float, ...]

    def distort(self, inputs: Floats, scores: Floats) -> Floats:
        """See :class:`Fault`."""
        drawn = (draw_uniforms(inputs, 1) * len(self.usual)).astype(np.int64)
        return np.where(draw_uniforms(inputs, 0) < self.share, np.array(self.usual)[drawn], scores)


class FaultyModel(FraudModel):
    """A model with a fault; of the class of sound ones, because that is what the store promises."""

    def __init__(self, sound: FraudModel, fault: Fault) -> None:
        """Let ``sound`` answer, and distort it."""
        self._sound = sound
        self._fault = fault
        self.version = sound.version

    def predict(self, inputs: Floats) -> Floats:
        """What the faulty model says."""
        return self._fault.distort(inputs, self._sound.predict(inputs))

    def explain(self, inputs: Floats) -> Floats:
        """What the sound one says of its reasons."""
        return self._sound.explain(inputs)

    def fill(self, inputs: Floats, features: Iterable[Feature], rows: Flags) -> None:
        """Put typical values in the place of ``features`` of some rows of the inputs."""
        self._sound.fill(inputs, features, rows)


class FaultyModels(ModelStore):
    """A store whose models are served with faults, from when they begin until they end; what is stored is sound."""

    def __init__(self, storage: Storage) -> None:
        """Use ``storage``, which holds nothing but models."""
        super().__init__(storage)
        self._faults: dict[str, Fault] = {}

    def begin(self, version: str, fault: Fault) -> None:
        """Serve a model with a fault from now on."""
        self._faults[version] = fault

    def end(self, version: str) -> None:
        """Serve it as it is stored again."""
        self._faults.pop(version, None)

    def load(self, version: str) -> FraudModel:
        """A model, with its fault if it has one; see :meth:`ModelStore.load`."""
        sound, fault = super().load(version), self._faults.get(version)
        return FaultyModel(sound, fault) if fault else sound


def add_noise(scores: Floats, normals: Floats, deviation: float) -> Floats:
    """Probabilities with noise on their log-odds: those of 0 noise, the more of it the farther."""
    kept = np.clip(scores, _LEAST, 1 - _LEAST)
    return 1 / (1 + np.exp(-(np.log(kept / (1 - kept)) + deviation * normals)))


def draw_uniforms(inputs: Floats, stream: int) -> Floats:
    """A number from 0 to 1 for each row, by a hash of its values: always the same for the same row and stream.

    The hash is SplitMix64 (Steele, Lea and Flood, 2014) over the bits of the values.
    """
    bits = np.ascontiguousarray(inputs, np.float64).view(np.uint64)
    state = _mix(np.full(len(bits), stream, np.uint64))
    for column in bits.T:
        state = _mix(state ^ column)
    uniforms: Floats = (state >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return uniforms


def draw_normals(inputs: Floats, seed: int) -> Floats:
    """A standard normal number for each row, by a hash of its values (Box and Muller, 1958)."""
    first, second = (draw_uniforms(inputs, 2 * seed + number) for number in range(2))
    normals: Floats = np.sqrt(-2 * np.log1p(-first)) * np.cos(2 * np.pi * second)
    return normals


def _mix(state: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def make_noisy(
    scores: Floats, inputs: Floats, labels: Labels, days: Integers, lost_share: float, seed: int
) -> tuple[Noisy, float]:
    """The noise by which a model loses this share of its average precision, measured as the release does it.

    Args:
        scores: Of the sound model, of the payments of some weeks.
        inputs: What it saw of each.
        labels: Whether each was a fraud.
        days: The day of each as a number.
        lost_share: 0 to 1.
        seed: Another one is other noise.

    Returns:
        The fault, and the average precision of the sound model.
    """
    normals, sound = draw_normals(inputs, seed), measure_daily_precision(scores, labels, days)
    low, high = 0.0, _MOST_NOISE
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        found = measure_daily_precision(add_noise(scores, normals, middle), labels, days)
        low, high = (middle, high) if found > (1 - lost_share) * sound else (low, middle)
    return Noisy(high, seed, np.sort(add_noise(scores, normals, high)), np.sort(scores)), sound


def measure_daily_precision(scores: Floats, labels: Labels, days: Integers) -> float:
    """Mean of the days' average precisions, weighted by their frauds; NaN where there is none.

    Equal scores count in whatever order, which is good enough to calibrate by.
    """
    order = np.lexsort((-scores, days))
    frauds, day = labels[order].astype(np.float64), days[order]
    begins = np.flatnonzero(np.r_[True, day[1:] != day[:-1]])
    begin = np.repeat(begins, np.diff(np.r_[begins, len(day)]))
    found = np.cumsum(frauds)
    found_before = np.r_[0.0, found][begin]
    precision = (found - found_before) / (np.arange(len(day)) - begin + 1)
    total = float(frauds.sum())
    # A day's average precision is the mean of the precisions at its frauds: weighted by frauds, all count alike.
    return float((precision * frauds).sum() / total) if total else float("nan")
