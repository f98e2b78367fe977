"""Models that are asked within a time limit, so that one that hangs or crawls holds nobody up for long."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import Final

import numpy as np

from pipeline_assets.adapters.models import ModelStore
from pipeline_assets.contracts.features import Feature
from pipeline_assets.core.fraud_model import Flags, Floats, Model, ModelTimeoutError
from pipeline_assets.core.serving import ServingParams

_EXPLAINING_COSTS: Final = 40  # times as much as scoring (measured: 190 us a row against 5)
_WAITS: Final = 20  # parts of a limit: a process that was stopped for long and goes on loses one of them, not all
_Ask = Callable[[Floats], Floats]


class GuardedModel:
    """A model that is asked within a time limit, and not again once it has not answered.

    It answers in a thread of its own, which is left behind when the time is up: LightGBM lets other threads run
    meanwhile. At most one is left a model; it ends with its present slice, and does not keep the process from ending.
    """

    def __init__(self, model: Model, params: ServingParams) -> None:
        """Guard ``model``."""
        self._model = model
        self._params = params
        self.has_timed_out = False

    @property
    def version(self) -> str:
        """The model's name in the release log."""
        return self._model.version

    def predict(self, inputs: Floats) -> Floats:
        """What the model says; see :class:`pipeline_assets.core.fraud_model.Model`.

        Raises:
            ModelTimeoutError: It did not answer in time, now or before.
            ModelFailedError: It cannot answer.
        """
        return self._ask(self._model.predict, inputs, cost=1)

    def explain(self, inputs: Floats) -> Floats:
        """What the model says of its reasons; fails as :meth:`predict` does."""
        return self._ask(self._model.explain, inputs, cost=_EXPLAINING_COSTS)

    def fill(self, inputs: Floats, features: Iterable[Feature], rows: Flags) -> None:
        """Put the model's typical values in the place of ``features`` of some rows of the inputs."""
        self._model.fill(inputs, features, rows)

    def _ask(self, ask: _Ask, inputs: Floats, cost: int) -> Floats:
        if self.has_timed_out:
            raise ModelTimeoutError(f"model {self.version} has timed out before and is not asked again in this run")
        try:
            return self._ask_in_time(ask, inputs, cost)
        except ModelTimeoutError:
            self.has_timed_out = True
            raise

    def _ask_in_time(self, ask: _Ask, inputs: Floats, cost: int) -> Floats:
        slices = self._slice(inputs, cost)
        seconds = self._params.find_timeout_seconds(len(slices[0]) * cost)
        answers = list(_answer_in_time(ask, slices, seconds))
        if len(answers) < len(slices):
            raise ModelTimeoutError(
                f"model {self.version}: expected the answer to {len(inputs)} rows, found none within {seconds:g} s for "
                f"{len(slices[len(answers)])} of them"
            )
        return np.concatenate(answers)

    def _slice(self, inputs: Floats, cost: int) -> list[Floats]:
        """As many rows at once as the least limit is for: a model that hangs costs that one, whatever it was asked."""
        microseconds = self._params.timeout_microseconds_a_row * cost
        size = max(1, int(self._params.min_timeout_seconds * 1e6 / microseconds))
        return [inputs[start : start + size] for start in range(0, max(len(inputs), 1), size)]


class ServedModels:
    """The models of one run: each is loaded once, guarded, and remembered if it timed out."""

    def __init__(self, models: ModelStore, params: ServingParams) -> None:
        """Serve from ``models``."""
        self._models = models
        self._params = params
        self._served: dict[str, GuardedModel] = {}

    def load_available(self, versions: Iterable[str]) -> tuple[dict[str, GuardedModel], dict[str, Exception]]:
        """The models that can be loaded, by version, and of the others why not."""
        wanted = sorted(set(versions))
        loaded, why_not = self._models.load_available(version for version in wanted if version not in self._served)
        self._served |= {version: GuardedModel(model, self._params) for version, model in loaded.items()}
        return {version: self._served[version] for version in wanted if version in self._served}, why_not

    def list_timed_out(self) -> list[str]:
        """The models that did not answer in time."""
        return sorted(version for version, model in self._served.items() if model.has_timed_out)


def _answer_in_time(ask: _Ask, slices: Sequence[Floats], seconds: float) -> Iterator[Floats]:
    """The answers to the slices one after the other, up to the first that takes longer than ``seconds``."""
    answers: SimpleQueue[Floats | Exception] = SimpleQueue()
    is_given_up = threading.Event()

    def work() -> None:
        try:
            for one in slices:
                if is_given_up.is_set():
                    return
                answers.put(ask(one))
        except Exception as error:  # whatever it is, it is raised where the answer is awaited
            answers.put(error)

    threading.Thread(target=work, name="model", daemon=True).start()
    try:
        for _ in slices:
            answer = _await(answers, seconds)
            if answer is None:
                return
            if isinstance(answer, Exception):
                raise answer
            yield answer
    finally:
        is_given_up.set()


def _await(answers: SimpleQueue[Floats | Exception], seconds: float) -> Floats | Exception | None:
    for _ in range(_WAITS):
        try:
            return answers.get(timeout=seconds / _WAITS)
        except Empty:
            continue
    return None
