"""Models under a time limit: what they say is passed on unchanged, and one that does not answer holds nobody up."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_assets.adapters.models import ModelMissingError, ModelStore
from pipeline_assets.adapters.serving import GuardedModel, ServedModels
from pipeline_assets.adapters.storage import open_storage
from pipeline_assets.contracts.features import CUSTOMER_FEATURES, Feature
from pipeline_assets.core.features import make_model_inputs
from pipeline_assets.core.fraud_model import Flags, Floats, FraudModel, ModelFailedError, ModelTimeoutError
from pipeline_assets.core.serving import ServingParams
from pipeline_assets.core.training import TrainedModel, TrainingParams, train

PATIENT = ServingParams(min_timeout_seconds=60.0)
IMPATIENT = ServingParams(min_timeout_seconds=0.05)


class Stub:
    """A model whose answers a test writes; it notes how many rows each request had."""

    version = "stub"

    def __init__(self, answer: Callable[[Floats], Floats]) -> None:
        self.answer = answer
        self.asked: list[int] = []

    def predict(self, inputs: Floats) -> Floats:
        self.asked.append(len(inputs))
        return self.answer(inputs)

    def explain(self, inputs: Floats) -> Floats:
        self.asked.append(len(inputs))
        return self.answer(inputs)[:, None] * np.ones(3)

    def fill(self, inputs: Floats, features: Iterable[Feature], rows: Flags) -> None:
        inputs[rows] = len(list(features))


@pytest.fixture
def hang() -> Iterator[Callable[[Floats], Floats]]:
    """An answer that does not come before the test has ended."""
    has_ended = threading.Event()

    def answer(inputs: Floats) -> Floats:
        has_ended.wait()
        return inputs[:, 0]

    yield answer
    has_ended.set()


@pytest.fixture(scope="module")
def rows(make_training_set: Callable[[int], pl.DataFrame]) -> pl.DataFrame:
    return make_training_set(600)


@pytest.fixture(scope="module")
def trained(rows: pl.DataFrame) -> TrainedModel:
    return train(rows, TrainingParams(rounds=10))


def find_new_threads(before: list[threading.Thread]) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread not in before]


@given(n_rows=st.integers(0, 40), rows_at_once=st.integers(1, 50))
@settings(max_examples=30, deadline=None)
def test_what_a_model_says_does_not_depend_on_how_it_is_asked(n_rows: int, rows_at_once: int) -> None:
    inputs = np.random.default_rng(n_rows).random((n_rows, 3))
    stub = Stub(lambda rows: rows.sum(axis=1))
    params = ServingParams(min_timeout_seconds=60.0, timeout_microseconds_a_row=60e6 / rows_at_once)
    guarded = GuardedModel(stub, params)
    assert (guarded.predict(inputs) == inputs.sum(axis=1)).all()
    assert max(stub.asked) <= rows_at_once
    assert (guarded.explain(inputs) == inputs.sum(axis=1)[:, None] * np.ones(3)).all()


def test_a_trained_model_says_the_same_bytes_guarded_as_alone(rows: pl.DataFrame, trained: TrainedModel) -> None:
    model = FraudModel("m", trained.text.decode(), trained.card["typical_inputs"])
    guarded = GuardedModel(model, ServingParams(min_timeout_seconds=60.0, timeout_microseconds_a_row=1e6))
    alone, inputs = make_model_inputs(rows), make_model_inputs(rows)
    some = np.arange(rows.height) % 3 == 0
    model.fill(alone, CUSTOMER_FEATURES, some)
    guarded.fill(inputs, CUSTOMER_FEATURES, some)
    assert guarded.version == "m"
    assert guarded.predict(inputs).tobytes() == model.predict(alone).tobytes()
    assert guarded.explain(inputs[:9]).tobytes() == model.explain(alone[:9]).tobytes()
    assert not guarded.has_timed_out


@pytest.mark.parametrize("how", ["predict", "explain"])
def test_a_model_that_does_not_answer_is_not_asked_again(hang: Callable[[Floats], Floats], how: str) -> None:
    stub, before = Stub(hang), threading.enumerate()
    guarded = GuardedModel(stub, IMPATIENT)
    for ask in (getattr(guarded, how), guarded.predict, guarded.explain):
        with pytest.raises(ModelTimeoutError, match="stub"):
            ask(np.ones((4, 3)))
    assert len(stub.asked) == 1
    assert guarded.has_timed_out
    assert len(find_new_threads(before)) == 1


def test_a_model_that_crawls_is_given_up_after_the_first_slice_and_stops_there() -> None:
    first_slice_may_end = threading.Event()

    def crawl(inputs: Floats) -> Floats:
        first_slice_may_end.wait()
        return inputs[:, 0]

    stub, before = Stub(crawl), threading.enumerate()
    params = ServingParams(min_timeout_seconds=0.05, timeout_microseconds_a_row=0.05e6 / 10)
    with pytest.raises(ModelTimeoutError, match=r"answer to 1000 rows, found none within 0\.05 s for 10 of them"):
        GuardedModel(stub, params).predict(np.ones((1000, 3)))
    first_slice_may_end.set()
    for thread in find_new_threads(before):
        thread.join()
    assert stub.asked == [10]


def test_what_a_model_raises_is_raised_where_it_was_asked() -> None:
    def fail(inputs: Floats) -> Floats:
        raise ModelFailedError("no trees")

    guarded = GuardedModel(Stub(fail), PATIENT)
    with pytest.raises(ModelFailedError, match="no trees"):
        guarded.predict(np.ones((4, 3)))
    assert not guarded.has_timed_out


def test_a_process_ends_though_models_are_still_at_work(trained: TrainedModel, tmp_path: Path) -> None:
    (tmp_path / "model.txt").write_bytes(trained.text)
    program = f"""
import threading
import numpy as np
from pipeline_assets.adapters.serving import GuardedModel
from pipeline_assets.core.features import MODEL_FEATURES
from pipeline_assets.core.fraud_model import FraudModel, ModelTimeoutError
from pipeline_assets.core.serving import ServingParams

class Hanging(FraudModel):
    def explain(self, inputs):
        threading.Event().wait()

text = open({str(tmp_path / "model.txt")!r}).read()
for model in (Hanging, FraudModel):
    guarded = GuardedModel(model("m", text, dict.fromkeys(MODEL_FEATURES, 0.0)), ServingParams(0.01, 1e-6))
    try:
        guarded.explain(np.ones((200_000, len(MODEL_FEATURES))))  # takes LightGBM seconds
    except ModelTimeoutError:
        print("timed out")
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "timed out\n" * 2, "")


def test_a_model_is_loaded_once_and_what_it_did_is_remembered(trained: TrainedModel, tmp_path: Path) -> None:
    store = ModelStore(open_storage(str(tmp_path)))
    version = store.write(date(2026, 3, 1), trained).version
    served = ServedModels(store, PATIENT)
    models, why_not = served.load_available([version, "2026-02-01-none"])
    assert list(models) == [version]
    assert isinstance(why_not["2026-02-01-none"], ModelMissingError)
    assert served.load_available([version])[0][version] is models[version]
    assert served.list_timed_out() == []
    models[version].has_timed_out = True
    assert served.list_timed_out() == [version]
