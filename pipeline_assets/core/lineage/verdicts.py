"""Whether a model came out of a rebuild as it was: what differs first, and how it is told."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as validated

from pipeline_assets.core.lineage.records import Record, parse_key
from pipeline_assets.core.lineage.reproduction import NotReproducibleError, name_some
from pipeline_assets.core.lineage.tree import Node, NodeId, State

NOTHING: Final = "nothing"  # what is found, or was expected, where there is no file
_TOLERANT: Final = ConfigDict(extra="ignore")  # who orders a rebuild and who makes it may be of two revisions


@validated(frozen=True, config=_TOLERANT)
class Difference:
    """The first node that is not as it was.

    Attributes:
        node: Which, as ``asset@day``.
        expected: Hash of each of its files that differs, by path.
        found: What they have instead.
        explanation: What follows from it.
    """

    node: str
    expected: dict[str, str]
    found: dict[str, str]
    explanation: str


@validated(frozen=True, config=_TOLERANT)
class Order:
    """What a rebuild is to do.

    Attributes:
        root: The data root that it builds in; what landed lies there already.
        parameters: The parameters file.
        records: What is to be built: the records as they were.
    """

    root: str
    parameters: str
    records: tuple[Record, ...]

    def to_bytes(self) -> bytes:
        """As JSON."""
        return TypeAdapter(Order).dump_json(self)


@validated(frozen=True, config=_TOLERANT)
class Outcome:
    """What became of a rebuild.

    Attributes:
        revision: The code that it ran.
        n_equal: Partitions that came out as they were.
        difference: The first that did not; nothing was built after it.
        refusal: Why nothing was built at all.
    """

    revision: str
    n_equal: int = 0
    difference: Difference | None = None
    refusal: str = ""

    def to_bytes(self) -> bytes:
        """As JSON."""
        return TypeAdapter(Outcome).dump_json(self)


def read_order(content: bytes) -> Order:
    """The order that :meth:`Order.to_bytes` wrote."""
    return TypeAdapter(Order).validate_json(content)


def read_outcome(content: bytes) -> Outcome:
    """The outcome that :meth:`Outcome.to_bytes` wrote.

    Raises:
        NotReproducibleError: The bytes are none.
    """
    try:
        return TypeAdapter(Outcome).validate_json(content)
    except ValidationError as error:
        raise NotReproducibleError(f"expected the outcome of a rebuild as JSON, found {content[:60]!r}") from error


@dataclass(frozen=True)
class Verdict:
    """Whether a model came out as it was.

    Attributes:
        model: Its version.
        md5: Hash of its bytes.
        revision: The code that it was to be built by.
        parameters: Hash of the parameters file.
        n_partitions: Partitions that are equal.
        n_files: Landed files that are equal.
        seconds: How long it took.
        difference: The first node that differs; None where every bit is the same.
    """

    model: str
    md5: str
    revision: str
    parameters: str
    n_partitions: int
    n_files: int
    seconds: float
    difference: Difference | None = None


def find_difference(expected: Record, found: Record) -> Difference | None:
    """What of a partition that was built again is not as it was; None where the same bytes gave the same bytes.

    Args:
        expected: Its record; everything that it names as input has come out equal.
        found: Its record in the rebuild.
    """
    names = {name for name, _ in list_inputs(expected) ^ list_inputs(found)}
    if not names:
        return compare_files(expected, found.files)
    told = f"what it was made from is not the same: {name_some(names)}; so its code looks at other partitions than then"
    return Difference(str(expected.key), *_select_different(expected.files, found.files), told)


def list_inputs(record: Record) -> set[tuple[str, str]]:
    """The inputs of a partition by name and hash; that an input was made without something is none of its bytes."""
    return {(name, NodeId(parse_key(name), version).md5) for name, version in record.inputs.items()}


def compare_files(expected: Record, found: Mapping[str, str]) -> Difference | None:
    """The same by the hashes of its files alone (by path), where it was made from the same inputs."""
    told = (
        f"all its {len(expected.inputs)} inputs were equal: so it is the code, the parameters, or this machine with "
        "its libraries"
    )
    different = _select_different(expected.files, found)
    return Difference(str(expected.key), *different, told) if different[0] else None


def compare_landed(node: Node, found: Mapping[str, str]) -> Difference | None:
    """How what landed on a day differs from what went in; None where it does not.

    Args:
        node: What went in, and the version that the day has now.
        found: Hash by path of the files that lie there now.
    """
    if not node.is_replaced:
        return None
    told = "what landed was changed after it went in"
    if node.state is State.LANDED:
        expected, found = _select_different(node.files, found)
        return Difference(str(node.id.key), expected, found, told)
    whole = str(node.id.key)  # no snapshot has its files, only the version of the day is known
    return Difference(whole, {whole: node.id.version}, {whole: node.present or NOTHING}, told)


def _select_different(expected: Mapping[str, str], found: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    paths = sorted(path for path in {*expected, *found} if expected.get(path) != found.get(path))
    return {path: expected.get(path, NOTHING) for path in paths}, {path: found.get(path, NOTHING) for path in paths}


def describe_verdict(verdict: Verdict) -> dict[str, Any]:
    """The verdict as JSON has it."""
    return {"outcome": "differs" if verdict.difference else "proved", **asdict(verdict)}


def tell_verdict(verdict: Verdict) -> Iterator[str]:
    """The verdict in lines for a person."""
    difference = verdict.difference
    if difference is None:
        yield f"proved: model {verdict.model} came out of a rebuild bit for bit as it was"
    else:
        yield f"not proved: model {verdict.model}: the first node that differs is {difference.node}"
        for path, expected in difference.expected.items():
            yield f"    {path}: expected {expected}, found {difference.found[path]}"
        yield f"    {difference.explanation}"
    yield f"  equal       {verdict.n_partitions} partitions and {verdict.n_files} landed files, {verdict.seconds:.1f} s"
    yield f"  model       md5 {verdict.md5}"
    yield f"  revision    {verdict.revision}"
    yield f"  parameters  md5 {verdict.parameters}"
