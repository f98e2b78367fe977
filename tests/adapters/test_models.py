"""The model store: what was written is what is loaded, or a clear word; killed at any point, a rerun ends the same."""

import hashlib
import json
import os
import urllib.request
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from pipeline_assets.adapters.models import ModelCorruptError, ModelMissingError, ModelStore
from pipeline_assets.adapters.storage import LocalStorage, Storage, open_storage
from pipeline_assets.core.features import make_model_inputs
from pipeline_assets.core.scoring import ModelMismatchError
from pipeline_assets.core.training import TrainedModel, TrainingParams, train

AS_OF = date(2026, 3, 8)
PARAMS = TrainingParams(rounds=12, checkpoint_rounds=3)


class Killed(BaseException):
    """Ends what goes on as a signal would: nothing may catch this."""


class DyingStorage(LocalStorage):
    """A folder whose user dies at a given change of it."""

    def __init__(self, root: Path, deadly: int) -> None:
        super().__init__(root)
        self.left = deadly

    def write(self, path: str, content: bytes) -> None:
        self._count()
        super().write(path, content)

    def delete(self, path: str) -> None:
        self._count()
        super().delete(path)

    def _count(self) -> None:
        if self.left == 0:
            raise Killed
        self.left -= 1


@pytest.fixture(scope="module")
def rows(make_training_set: Callable[[int], pl.DataFrame]) -> pl.DataFrame:
    return make_training_set(1000)


@pytest.fixture(scope="module")
def trained(rows: pl.DataFrame) -> TrainedModel:
    return train(rows, PARAMS)


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket of a real server, ended with the module."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ALLOW_HTTP": "true",
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    with urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/models", method="PUT"), timeout=10):
        pass
    yield "s3://models/root"
    server.stop()
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.fixture(params=["folder", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return open_storage(str(tmp_path / "root"))
    return open_storage(f"{request.getfixturevalue('bucket')}/{tmp_path.name}")


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_model_is_loaded_as_it_was_written(storage: Storage, trained: TrainedModel, rows: pl.DataFrame) -> None:
    store = ModelStore(storage)
    written = store.write(AS_OF, trained)
    assert storage.read(written.path) == trained.text
    assert (written.md5, dict(written.card)) == (trained.card["md5"], dict(trained.card))
    assert store.find(AS_OF) == written
    assert store.as_of_days() == [AS_OF]
    model = store.load(written.version)
    assert model.version == written.version
    assert ((model.predict(make_model_inputs(rows)) > 0) & (model.predict(make_model_inputs(rows)) < 1)).all()


def test_a_training_resumes_from_a_stored_checkpoint_and_the_model_removes_it(
    storage: Storage, trained: TrainedModel, rows: pl.DataFrame
) -> None:
    store, saved = ModelStore(storage), 0
    checkpoints = store.checkpoints(AS_OF)

    class DyingCheckpoints:
        load = checkpoints.load

        def save(self, content: bytes) -> None:
            nonlocal saved
            checkpoints.save(content)
            saved += 1
            if saved == 2:
                raise Killed

    with pytest.raises(Killed):
        train(rows, PARAMS, DyingCheckpoints())
    resumed = train(rows, PARAMS, checkpoints)
    assert (resumed.resumed_from, resumed.text) == (6, trained.text)
    assert checkpoints.load() is not None
    store.write(AS_OF, resumed)
    assert checkpoints.load() is None


@pytest.mark.parametrize("spoil", [lambda content: content[:-100], lambda content: b"", lambda content: b"\xff" * 9])
def test_a_checkpoint_that_rotted_in_storage_is_ignored(
    tmp_path: Path, trained: TrainedModel, rows: pl.DataFrame, spoil: Callable[[bytes], bytes]
) -> None:
    checkpoints = ModelStore(LocalStorage(tmp_path)).checkpoints(AS_OF)
    train(rows, PARAMS, checkpoints)
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
    file.write_bytes(spoil(file.read_bytes()))
    anew = train(rows, PARAMS, checkpoints)
    assert (anew.resumed_from, anew.text) == (0, trained.text)
    assert anew.ignored_checkpoint is not None


def test_killed_at_any_change_of_the_store_a_rerun_leaves_the_same_bytes(tmp_path: Path, rows: pl.DataFrame) -> None:
    def run(storage: Storage) -> None:
        store = ModelStore(storage)
        store.write(AS_OF, train(rows, PARAMS, store.checkpoints(AS_OF)))

    run(LocalStorage(tmp_path / "whole"))
    expected, kills = contents(tmp_path / "whole"), 0
    assert len(expected) == 3
    while True:
        root = tmp_path / f"killed at {kills}"
        try:
            run(DyingStorage(root, kills))
            break
        except Killed:
            kills += 1
        found = ModelStore(LocalStorage(root))
        for day in found.as_of_days():  # whatever can be found can be loaded
            found.load(found.find(day).version)
        run(LocalStorage(root))
        assert contents(root) == expected
    assert kills == 7  # three checkpoints, the model, the card, the current version, the removal


def test_another_model_of_the_same_day_becomes_current_and_leaves_the_first_as_it_was(
    tmp_path: Path, trained: TrainedModel, rows: pl.DataFrame
) -> None:
    store = ModelStore(LocalStorage(tmp_path))
    first = store.write(AS_OF, trained)
    second = store.write(AS_OF, train(rows.head(900), PARAMS))
    assert store.find(AS_OF) == second
    assert second.version != first.version
    assert store.load(first.version).version == first.version
    assert store.write(AS_OF, trained) == store.find(AS_OF) == first


@pytest.mark.parametrize(
    ("file", "spoil"),
    [
        ("model.txt", lambda content: content.replace(b"leaf_value=", b"leaf_value=1", 1)),
        ("model.txt", lambda content: content[: len(content) // 2]),
        ("model.txt", lambda content: b""),
        ("card.json", lambda content: content.replace(b'"amount_cents": ', b'"amount_cents": 1', 1)),
        ("card.json", lambda content: content[:50]),
    ],
)
def test_a_damaged_model_is_never_loaded(
    tmp_path: Path, trained: TrainedModel, file: str, spoil: Callable[[bytes], bytes]
) -> None:
    store = ModelStore(LocalStorage(tmp_path))
    version = store.write(AS_OF, trained).version
    (path,) = tmp_path.rglob(file)
    spoiled = spoil(path.read_bytes())
    assert spoiled != path.read_bytes()
    path.write_bytes(spoiled)
    with pytest.raises(ModelCorruptError, match=f"{version}.* is damaged: .*{file}"):
        store.load(version)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'"x"'])
def test_a_damaged_pointer_to_the_current_model_is_said_so(
    tmp_path: Path, trained: TrainedModel, content: bytes
) -> None:
    store = ModelStore(LocalStorage(tmp_path))
    store.write(AS_OF, trained)
    next(tmp_path.rglob("current.json")).write_bytes(content)
    with pytest.raises(ModelCorruptError, match="expected its version as JSON"):
        store.find(AS_OF)


def test_absent_models_are_absent_by_name(storage: Storage) -> None:
    store = ModelStore(storage)
    assert store.as_of_days() == []
    with pytest.raises(ModelMissingError, match=r"2026-03-08.*materialize fraud_model"):
        store.find(AS_OF)
    with pytest.raises(ModelMissingError, match="2026-03-08-0123456789ab"):
        store.load("2026-03-08-0123456789ab")


def test_what_cannot_be_loaded_is_named_and_the_rest_is_there(tmp_path: Path, trained: TrainedModel) -> None:
    store = ModelStore(LocalStorage(tmp_path))
    good = store.write(AS_OF, trained).version
    damaged = store.write(date(2026, 3, 15), trained).version
    next((tmp_path / "fraud_model/2026-03-15").rglob("model.txt")).write_bytes(b"tree")
    foreign_text = trained.text.replace(b"is_weekend", b"is_sunday_")
    card = {**trained.card, "md5": hashlib.md5(foreign_text).hexdigest()}
    foreign = store.write(date(2026, 3, 22), TrainedModel(foreign_text, card, 0, None)).version
    with pytest.raises(ModelMismatchError):
        store.load(foreign)
    models, problems = store.load_available([good, damaged, foreign, "2026-03-29-0123456789ab", good])
    assert set(models) == {good}
    assert set(problems) == {damaged, foreign, "2026-03-29-0123456789ab"}
    assert "is damaged" in str(problems[damaged])
    assert "is_sunday_" in str(problems[foreign])


def test_the_card_is_json_that_anybody_can_read(tmp_path: Path, trained: TrainedModel) -> None:
    ModelStore(LocalStorage(tmp_path)).write(AS_OF, trained)
    assert json.loads(next(tmp_path.rglob("card.json")).read_bytes())["n_rows"] == 1000
