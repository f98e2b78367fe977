"""Questions of lineage to the stores: what a key means, and where the records of what went in are."""

import hashlib
import json
import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

from pipeline_assets.adapters.history import History
from pipeline_assets.adapters.lake import ABSENT
from pipeline_assets.adapters.landing import UNREADABLE
from pipeline_assets.adapters.sql import query
from pipeline_assets.adapters.stores import Stores
from pipeline_assets.contracts.tables import SCORES
from pipeline_assets.contracts.vocabularies import Rung
from pipeline_assets.core.ingestion import digest_hashes
from pipeline_assets.core.lineage.recipes import LANDING, MODEL
from pipeline_assets.core.lineage.records import UNAVAILABLE, Key, parse_key
from pipeline_assets.core.lineage.tree import Landed, NodeId, Sources, find_record

_MODEL_VERSION: Final = re.compile(r"(\d{4}-\d{2}-\d{2})-([0-9a-f]{12})")
_SCORE_PREFIX: Final = f"{SCORES.name}/"
_FORMS: Final = "asset@YYYY-MM-DD, the version of a model (2026-02-08-377c3a0b22a7), or scores/<transaction id>"
_SHOWN: Final = 5  # of what there is instead


class LineageError(ValueError):
    """A key names nothing, or more than one thing, whose lineage could be told."""


@dataclass(frozen=True)
class Question:
    """What a key asks for.

    Attributes:
        key: The key.
        roots: The versions whose lineage it is.
        decision: Of a score, its row and the day on which the payment arrived.
    """

    key: str
    roots: tuple[NodeId, ...]
    decision: dict[str, Any] | None = None


def open_sources(stores: Stores, history: History | None = None) -> Sources:
    """The records as they are now, then those of snapshots; what landed on a day is read when it is asked for."""
    records = stores.records.load_all()
    now = Sources(records.get, lambda day: _find_landed(stores, day))
    return now if history is None else replace(now, earlier=[history.find_record], earlier_landed=[history.find_landed])


def _find_landed(stores: Stores, day: date) -> Landed:
    try:
        landed = stores.landing.read_day(day)
    except OSError:
        return Landed(UNREADABLE, {})
    hashes = {
        (feed, file.name): hashlib.md5(file.content, usedforsecurity=False).hexdigest()
        for feed, files in landed.items()
        for file in files
    }
    return Landed(
        digest_hashes({f"{feed}/{name}": md5 for (feed, name), md5 in hashes.items()}),
        {f"{LANDING}/{feed}/{day}/{name}": md5 for (feed, name), md5 in hashes.items()},
    )


def resolve(stores: Stores, sources: Sources, assets: Collection[str], key: str) -> Question:
    """What ``key`` asks for.

    Args:
        stores: Where it is looked for.
        sources: Of its records.
        assets: The names of all assets that have records.
        key: ``asset@YYYY-MM-DD``, the version of a model, or ``scores/<transaction id>``.

    Raises:
        LineageError: It is none of these, there is no such thing, or there is more than one.
        PartitionCorruptError: The scores are not those that were recorded.
    """
    if key.startswith(_SCORE_PREFIX):
        return _resolve_score(stores, sources, key)
    if match := _MODEL_VERSION.fullmatch(key):
        return Question(key, (_find_model(stores, sources, key, match[1], match[2]),))
    try:
        partition = parse_key(key)
    except ValueError as error:
        raise LineageError(f"expected {_FORMS}; found {key!r}") from error
    if partition.asset not in {*assets, LANDING}:
        known = ", ".join(sorted({*assets, LANDING}))
        raise LineageError(f"{key}: expected an asset that has records ({known}), found {partition.asset!r}")
    return Question(key, (_find_partition(stores, sources, partition),))


def _find_partition(stores: Stores, sources: Sources, key: Key) -> NodeId:
    if key.asset == LANDING:
        landed = sources.landed(key.day)
        if landed is None or not landed.files:
            found = landed.version if landed and landed.version == UNREADABLE else ABSENT
            raise LineageError(f"{key}: expected files that landed on this day, found {found}")
        return NodeId(key, landed.version)
    record = sources.present(key)
    if record is None:
        days = sorted(stores.records.load(key.asset))
        there = f"there are {len(days)}, from {days[0]} to {days[-1]}" if days else "there are none yet"
        raise LineageError(
            f"{key}: expected a partition that was made, found no record of it; {there}; "
            "what is missing is made by: pipeline-assets heal --apply"
        )
    return NodeId(key, record.version)


def _find_model(stores: Stores, sources: Sources, version: str, as_of: str, digits: str) -> NodeId:
    """The partition that holds a version of a model, or held it before another was trained as of the same day."""
    folder = f"models/{MODEL}/{as_of}"
    try:
        content = stores.root.read(f"{folder}/{digits}/card.json")
        model = NodeId(parse_key(f"{MODEL}@{as_of}"), str(json.loads(content)["md5"]))
    except FileNotFoundError as error:
        cards = (path.split("/") for path in stores.root.list(folder) if path.endswith("/card.json"))
        known = ", ".join(f"{as_of}-{parts[-2]}" for parts in cards) or "none as of that day"
        raise LineageError(f"model {version}: expected a model of the store, found {known}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise LineageError(
            f"model {version}: expected a card that names the hash of the model, found {content[:40]!r}; "
            "restore it: pipeline-assets heal --apply"
        ) from error
    if find_record(model, sources) is None:
        raise LineageError(
            f"model {version}: expected the record of its bytes (md5 {model.version}), found none, not in a "
            f"snapshot either; another one was trained since: pipeline-assets lineage {model.key}"
        )
    return model


def _resolve_score(stores: Stores, sources: Sources, key: str) -> Question:
    name = key.removeprefix(_SCORE_PREFIX)
    found = _find_decisions(stores, name)
    if not found and "@" in name:  # the day behind it tells apart what arrived more than once
        name, _, day = name.rpartition("@")
        found = [one for one in _find_decisions(stores, name) if f"{one['date']}" == day]
    if not found:
        days = stores.lake.days(SCORES)
        searched = f"the scores from {days[0]} to {days[-1]}" if days else "the scores, of which there are none yet"
        raise LineageError(f"{key}: expected a transaction that was decided on, found it in none of {searched}")
    if len(found) > 1:
        keys = ", ".join(f"{_SCORE_PREFIX}{name}@{one['date']}" for one in found[:_SHOWN])
        raise LineageError(f"{key}: expected one decision, found {len(found)}; say which: {keys}")
    (decision,) = found
    root = _find_partition(stores, sources, Key(SCORES.name, decision["date"]))
    # Only of the recorded bytes the record tells the lineage.
    rows = stores.lake.read(SCORES, [root.key.day], md5s={root.key.day: root.md5}).filter(transaction_id=name)
    decision = {"date": f"{root.key.day}", **rows.row(0, named=True)}
    return Question(key, (root, *_find_deciding_model(sources, root, decision)), decision)


def _find_decisions(stores: Stores, transaction_id: str) -> list[dict[str, Any]]:
    if not stores.lake.days(SCORES):
        return []
    quoted = transaction_id.replace("'", "''")
    statement = f"select date from scores where transaction_id = '{quoted}' order by date"  # noqa: S608 - quoted
    return query(stores.tables, statement).to_dicts()


def _find_deciding_model(sources: Sources, root: NodeId, decision: dict[str, Any]) -> list[NodeId]:
    """The model that gave a score, in the version that went in; none where the rules did."""
    if decision["rung"] == Rung.RULES:
        return []
    record = sources.present(root.key)
    assert record is not None
    key = parse_key(f"{MODEL}@{decision['model_version'].rpartition('-')[0]}")
    return [NodeId(key, record.inputs.get(str(key), UNAVAILABLE))]
