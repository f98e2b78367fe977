"""The fraud model as scoring asks it: what it gets to see, what it answers, and how it can fail to."""

from collections.abc import Iterable, Mapping
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline_assets.contracts.features import CUSTOMER_FEATURES, TERMINAL_FEATURES, Feature
from pipeline_assets.core.failures import BadDataError
from pipeline_assets.core.features import MODEL_FEATURES, make_model_inputs

FEATURE_GROUPS: Final = (CUSTOMER_FEATURES, TERMINAL_FEATURES)  # a payment has all of a group or none of it
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class ModelMismatchError(BadDataError):
    """A model is none that this code can ask: it was trained on other inputs, or its text cannot be read."""


class ModelTimeoutError(Exception):
    """A model did not answer within its time."""


class ModelFailedError(Exception):
    """A model that was loaded cannot answer."""


class Model(Protocol):
    """Who gives scores; asking may raise ModelTimeoutError or ModelFailedError."""

    @property
    def version(self) -> str:
        """Its name in the release log."""

    def predict(self, inputs: Floats) -> Floats:
        """What it takes for the probability of fraud of each row; each row's does not depend on the others."""

    def explain(self, inputs: Floats) -> Floats:
        """What each input adds to the log-odds of each row."""

    def fill(self, inputs: Floats, features: Iterable[Feature], rows: Flags) -> None:
        """Put typical values in the place of ``features`` of some rows of the inputs."""


class FraudModel:
    """A trained model that scores."""

    def __init__(self, version: str, text: str, typical_inputs: Mapping[str, float]) -> None:
        """Load LightGBM's text format.

        Args:
            version: The model's name in the release log.
            text: The model.
            typical_inputs: What stands in for features whose table is missing, by name.

        Raises:
            ModelMismatchError: The text is no model, or its inputs are not the ones this code makes.
        """
        import lightgbm

        self.version = version
        try:
            self._booster = lightgbm.Booster(model_str=text)
        except lightgbm.basic.LightGBMError as error:
            raise ModelMismatchError(
                f"model {version}: expected a model in LightGBM's text format, found {error}; train it again"
            ) from error
        found = self._booster.feature_name()
        if found != list(MODEL_FEATURES) or set(typical_inputs) != set(MODEL_FEATURES):
            raise ModelMismatchError(
                f"model {version}: expected the inputs {list(MODEL_FEATURES)}, found {found}; "
                "train a model with this code"
            )
        self._typical = np.array([typical_inputs[name] for name in MODEL_FEATURES])

    def predict(self, inputs: Floats) -> Floats:
        """The score of each row of inputs; each row's does not depend on the others.

        Raises:
            ModelFailedError: LightGBM cannot, or gives anything but one number a row.
        """
        scores = self._ask(inputs)
        if scores.shape != (len(inputs),):
            raise ModelFailedError(f"model {self.version}: expected one score a row, found the shape {scores.shape}")
        return scores

    def explain(self, inputs: Floats) -> Floats:
        """What each input adds to the log-odds of each row, by TreeSHAP.

        Raises:
            ModelFailedError: LightGBM cannot.
        """
        return self._ask(inputs, pred_contrib=True)[:, : len(MODEL_FEATURES)]  # the last column is the mean

    def fill(self, inputs: Floats, features: Iterable[Feature], rows: Flags) -> None:
        """Put typical values in the place of ``features`` of some rows of the inputs."""
        columns = [MODEL_FEATURES.index(feature.name) for feature in features]
        inputs[np.ix_(np.flatnonzero(rows), np.array(columns))] = self._typical[columns]

    def _ask(self, inputs: Floats, *, pred_contrib: bool = False) -> Floats:
        import lightgbm

        try:
            answer = self._booster.predict(inputs, pred_contrib=pred_contrib, num_threads=1)
        except lightgbm.basic.LightGBMError as error:
            raise ModelFailedError(f"model {self.version}: expected an answer, found {error}") from error
        return np.asarray(answer, np.float64)


class ModelInputs:
    """What models get to see of some payments."""

    def __init__(self, payments: pl.DataFrame) -> None:
        """Of the columns of ``transactions`` and of both feature tables, null where unknown (see join_features)."""
        self._values = make_model_inputs(payments)
        self._lacks = [(group, payments.select(lacks(group)).to_series().to_numpy()) for group in FEATURE_GROUPS]

    def fill_for(self, model: Model) -> Floats:
        """The inputs, a row a payment, with the model's typical values where a feature table lacks the payment."""
        if not any(rows.any() for _, rows in self._lacks):
            return self._values
        values = self._values.copy()
        for features, rows in self._lacks:
            model.fill(values, features, rows)
        return values


def is_probability(score: Floats) -> Flags:
    """Which scores are probabilities: neither NaN, nor below 0, nor above 1."""
    return np.asarray((score >= 0) & (score <= 1))


def lacks(features: Iterable[Feature]) -> pl.Expr:
    """Whether the table of some features lacks a payment."""
    return pl.col(next(feature.name for feature in features if not feature.nullable)).is_null()
