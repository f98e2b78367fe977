"""Trained models in storage: every version stays as it was written, one of each as-of day is the current one.

Layout: ``fraud_model/<as-of>/current.json`` names the version; ``fraud_model/<as-of>/<hash>/`` holds ``model.txt`` and
``card.json``, after whose bytes it is named; ``fraud_model/<as-of>/checkpoints/latest`` is there only while a training
goes on. The order of writes is model, card, current, removal of the checkpoint: killed at any point, the same training
again ends in the same bytes.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from pipeline_assets.adapters.storage import Storage
from pipeline_assets.core.failures import AbsentInputError, BadDataError
from pipeline_assets.core.scoring import FraudModel, ModelMismatchError
from pipeline_assets.core.training import TrainedModel

_FOLDER: Final = "fraud_model"
_HASH_DIGITS: Final = 12  # of the card's md5 in a version: enough to tell versions apart, short enough to read


class ModelMissingError(AbsentInputError):
    """A model that was asked for is not in the store."""


class ModelCorruptError(BadDataError):
    """The bytes of a model are not those that were written."""


@dataclass(frozen=True)
class WrittenModel:
    """A model in the store.

    Attributes:
        version: Its name: as-of day and hash of the card.
        md5: Hash of the model's bytes.
        path: Where they are, relative to the store's root.
        card: What it was trained on and how.
        files: Hash of each of its files, by path; the model's own comes first.
    """

    version: str
    md5: str
    path: str
    card: Mapping[str, Any]
    files: Mapping[str, str]


class StoredCheckpoint:
    """The checkpoint of one training; see :class:`pipeline_assets.core.training.Checkpoints`."""

    def __init__(self, storage: Storage, path: str) -> None:
        """Keep it at ``path``."""
        self._storage = storage
        self._path = path

    def load(self) -> bytes | None:
        """The latest checkpoint, None where there is none."""
        try:
            return self._storage.read(self._path)
        except FileNotFoundError:
            return None

    def save(self, content: bytes) -> None:
        """Replace the latest checkpoint, whole and durably."""
        self._storage.write(self._path, content)


class ModelStore:
    """The models below one storage root."""

    def __init__(self, storage: Storage) -> None:
        """Use ``storage``, which holds nothing but models."""
        self._storage = storage
        self.root = storage.root

    def checkpoints(self, as_of: date) -> StoredCheckpoint:
        """Where the training as of a day keeps its checkpoint."""
        return StoredCheckpoint(self._storage, f"{_FOLDER}/{as_of}/checkpoints/latest")

    def write(self, as_of: date, model: TrainedModel) -> WrittenModel:
        """Put a model into the store, make it the current one of ``as_of``, and remove the checkpoint."""
        card = _to_json(model.card)
        version = f"{as_of}-{_md5(card)[:_HASH_DIGITS]}"
        folder = _locate(version)
        self._storage.write(f"{folder}/model.txt", model.text)
        self._storage.write(f"{folder}/card.json", card)
        self._storage.write(_current(as_of), _to_json({"version": version}))
        self._storage.delete(f"{_FOLDER}/{as_of}/checkpoints/latest")
        return self.find(as_of)

    def as_of_days(self) -> list[date]:
        """The as-of days that have a current model, in order."""
        parts = (path.split("/") for path in self._storage.list(_FOLDER) if path.endswith("/current.json"))
        return sorted(date.fromisoformat(as_of) for _, as_of, _ in parts)

    def find(self, as_of: date) -> WrittenModel:
        """The current model of a day, as its card describes it; its bytes are not read.

        Raises:
            ModelMissingError: No model was trained as of that day.
            ModelCorruptError: The card, or what names it, is not what was written.
        """
        path = _current(as_of)
        content = self._read(path, f"the model as of {as_of}")
        try:
            version = str(json.loads(content)["version"])
        except (ValueError, KeyError, TypeError) as error:
            raise self._corrupt(f"the model as of {as_of}", path, "its version as JSON", repr(content[:40])) from error
        card, folder = self._read_card(version), _locate(version)
        files = {f"{folder}/model.txt": card["md5"], f"{folder}/card.json": _md5(_to_json(card)), path: _md5(content)}
        return WrittenModel(version, card["md5"], f"{folder}/model.txt", card, files)

    def load(self, version: str) -> FraudModel:
        """A model that scores, of exactly the bytes that were written.

        Raises:
            ModelMissingError: There is no such version.
            ModelCorruptError: Its bytes are not those that were written.
            ModelMismatchError: It was trained on other inputs than this code makes.
        """
        card, path = self._read_card(version), f"{_locate(version)}/model.txt"
        content = self._read(path, f"model {version}")
        # LightGBM may end the whole process on a damaged text, so nothing is loaded before its hash is right.
        if _md5(content) != card["md5"]:
            raise self._corrupt(f"model {version}", path, f"md5 {card['md5']}", _md5(content))
        return FraudModel(version, content.decode(), card["typical_inputs"])

    def load_available(self, versions: Iterable[str]) -> tuple[dict[str, FraudModel], dict[str, Exception]]:
        """The models that can be loaded, by version, and of the others why not: the scoring goes down the ladder."""
        models: dict[str, FraudModel] = {}
        problems: dict[str, Exception] = {}
        for version in sorted(set(versions)):
            try:
                models[version] = self.load(version)
            except (ModelMissingError, ModelCorruptError, ModelMismatchError) as error:
                problems[version] = error
        return models, problems

    def _read(self, path: str, what: str) -> bytes:
        try:
            return self._storage.read(path)
        except FileNotFoundError as error:
            raise ModelMissingError(
                f"{what} is not in the store {self.root}: expected {path}, found nothing; materialize fraud_model"
            ) from error

    def _read_card(self, version: str) -> dict[str, Any]:
        # The version is named after the card, and the card names the hash of the model: one chain.
        path = f"{_locate(version)}/card.json"
        content = self._read(path, f"model {version}")
        if not version.endswith(f"-{_md5(content)[:_HASH_DIGITS]}"):
            raise self._corrupt(f"the card of model {version}", path, "the md5 that names the version", _md5(content))
        card: dict[str, Any] = json.loads(content)
        return card

    def _corrupt(self, what: str, path: str, expected: str, found: str) -> ModelCorruptError:
        return ModelCorruptError(
            f"{what} in the store {self.root} is damaged: {path}: expected {expected}, found {found}; restore it "
            "from a snapshot, or materialize fraud_model again"
        )


def name_version(files: Iterable[str]) -> str:
    """The version of a model whose files are these, in the data root.

    Raises:
        ModelMissingError: None of them is a model.
    """
    for path in files:
        *_, as_of, digits, name = path.split("/")
        if name == "model.txt":
            return f"{as_of}-{digits}"
    raise ModelMissingError(f"expected the files of a model, found {list(files)}; materialize fraud_model")


def _locate(version: str) -> str:
    as_of, _, digits = version.rpartition("-")
    return f"{_FOLDER}/{as_of}/{digits}"


def _current(as_of: date) -> str:
    return f"{_FOLDER}/{as_of}/current.json"


def _to_json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, indent=1, allow_nan=False).encode() + b"\n"


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
