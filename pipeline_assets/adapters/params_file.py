"""The parameters file as it is written: YAML within stated limits, every key once, and the line of each of them.

DVC reads the same file as YAML 1.2, Python's reader as YAML 1.1: what the two read differently is refused.
"""

import math
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import yaml

MAX_BYTES: Final = 1_000_000
MAX_DEPTH: Final = 20  # of lists and mappings in each other; the deepest that is meant has six
MAX_NODES: Final = 20_000  # values and keys, those of an alias each time it is used
_FIRST_DAY, _LAST_DAY = date(1970, 1, 1), date(2199, 12, 31)  # a century of any window before and after still is a date
_CENTURY: Final = {"days": 36_525, "weeks": 5_218, "hours": 876_600, "seconds": 3_155_760_000}
_LIMITS: Final = {**_CENTURY, "cents": 10**15, "microseconds": 10**15, "seed": 2**63 - 1}  # by a word of the key
_MAX_INT: Final = 2**31 - 1
_MAX_FLOAT: Final = 1e15
_SHOWN: Final = 80
_OTHER_INT: Final = re.compile(r"[-+]?0[0-9_]+|[-+]?[0-9][0-9_]*(_|:)[0-9_:]*")  # octal, or of base 60, to YAML 1.1
_OTHER_BOOL: Final = frozenset({"yes", "no", "on", "off"})
Place = tuple[str | int, ...]  # the keys and numbers that lead to a value


class ParamsFileError(ValueError):
    """The parameters file cannot be used; the message names file, key and line."""


@dataclass(frozen=True)
class ParamsFile:
    """A file that was read.

    Attributes:
        path: Where it is.
        values: What it says.
        node: The same with the lines; None for an empty file.
    """

    path: Path
    values: Any
    node: yaml.Node | None

    def refuse(self, place: Sequence[str | int], what: str) -> ParamsFileError:
        """The error that a value is not as it must be; its key is named as far as the file has it, with the line."""
        node, key = self.node, ".".join(map(str, place)) or "top level"
        for part in place:
            found = _find_child(node, part)
            if found is None:
                break
            node = found
        line = f" (line {node.start_mark.line + 1})" if node is not None else ""
        return ParamsFileError(f"parameters file {self.path}: {key}{line}: {what}")

    def check(self, values: Any, place: Place = ()) -> None:
        """Make sure that every number and day of ``values``, as they are used, can be reckoned with.

        Only what the file itself says is looked at.

        Raises:
            ParamsFileError: One is infinite, none, too great, or was written as a truth value.
        """
        said = self._find(place)
        if isinstance(values, Mapping) and isinstance(said, Mapping):
            for key in values:
                if key in said:
                    self.check(values[key], (*place, key))
        elif isinstance(values, list | tuple) and isinstance(said, list | tuple):
            for number, value in enumerate(values[: len(said)]):
                self.check(value, (*place, number))
        elif isinstance(said, bool) and not isinstance(values, bool):
            raise self.refuse(
                place, f"expected no truth value, found {str(said).lower()}; write the number or the word"
            )
        elif problem := _find_problem(str(next((one for one in reversed(place) if isinstance(one, str)), "")), values):
            raise self.refuse(place, problem)

    def _find(self, place: Place) -> Any:
        values = self.values
        for part in place:
            values = values[part]
        return values


def read_params_file(path: Path) -> ParamsFile:
    """Read a parameters file.

    Raises:
        ParamsFileError: It is no YAML, exceeds a limit, says a key twice, or what can be read in two ways.
        OSError: It cannot be read.
    """
    if path.exists() and not path.is_file():
        raise ParamsFileError(
            f"parameters file {path}: expected a file, found a {'folder' if path.is_dir() else 'pipe'}"
        )
    text = _decode(path, path.read_bytes())
    try:
        _require_limits(path, text)
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        file = ParamsFile(path, None, node)
        if node is None:
            return file
        _require_one_meaning(file, node, loader, ())
        file = ParamsFile(path, loader.construct_document(node), node)
        file.check(file.values)
        return file
    except yaml.MarkedYAMLError as error:
        raise _tell(path, error) from error
    except yaml.YAMLError as error:
        found = " ".join(str(error).split())
        raise ParamsFileError(f"parameters file {path}: expected YAML, found {found}") from error


def _decode(path: Path, content: bytes) -> str:
    if len(content) > MAX_BYTES:
        raise ParamsFileError(f"parameters file {path}: expected at most {MAX_BYTES:,} bytes, found {len(content):,}")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = content[error.start : error.start + 4].hex(" ")
        raise ParamsFileError(
            f"parameters file {path}: line {line}: expected text in UTF-8, found the bytes {found}; save it as UTF-8"
        ) from error


def _require_limits(path: Path, text: str) -> None:
    """Before anything is built of it: nothing is nested too deep, refers to itself, or grows by its aliases."""
    sizes: dict[str, int] = {}
    levels: list[tuple[str | None, int]] = [(None, 0)]  # anchor, and the nodes in it so far

    def add(number: int, event: yaml.Event) -> None:
        anchor, size = levels.pop()
        if size + number > MAX_NODES:
            raise _refuse_line(
                path, event, f"expected at most {MAX_NODES:,} values, aliases counted as used, found more"
            )
        levels.append((anchor, size + number))

    for event in yaml.parse(text, yaml.SafeLoader):
        match event:
            case yaml.CollectionStartEvent():
                levels.append((event.anchor, 1))
                if len(levels) > MAX_DEPTH + 1:
                    raise _refuse_line(path, event, f"expected at most {MAX_DEPTH} lists and mappings in each other")
            case yaml.CollectionEndEvent():
                anchor, size = levels.pop()
                if anchor is not None:
                    sizes[anchor] = size
                add(size, event)
            case yaml.ScalarEvent():
                if event.anchor is not None:
                    sizes[event.anchor] = 1
                add(1, event)
            case yaml.AliasEvent():
                if event.anchor not in sizes:
                    raise _refuse_line(path, event, f"*{event.anchor} is not there before it, or is a part of itself")
                add(sizes[event.anchor], event)


def _require_one_meaning(file: ParamsFile, node: yaml.Node, loader: yaml.SafeLoader, place: Place) -> None:
    """Every key is a word and is there once, and no value is read in two ways."""
    if isinstance(node, yaml.MappingNode):
        lines: dict[Hashable, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.tag == "tag:yaml.org,2002:merge":
                _require_one_meaning(file, value, loader, place)
                continue
            if key.tag != "tag:yaml.org,2002:str":
                raise _refuse_key(
                    file, place, line, f"expected a word as key, found {_show(key)}; quote it if it is one"
                )
            if key.value in lines:
                first = f"it is also in line {lines[key.value]}, and only one of them would count"
                raise _refuse_key(file, (*place, key.value), line, f"expected each key once; {first}: make one of them")
            lines[key.value] = line
            _require_one_meaning(file, value, loader, (*place, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            _require_one_meaning(file, value, loader, (*place, number))
    elif isinstance(node, yaml.ScalarNode):
        _require_plain(file, node, loader, place)


def _require_plain(file: ParamsFile, node: yaml.ScalarNode, loader: yaml.SafeLoader, place: Place) -> None:
    kind, line = node.tag.rpartition(":")[2], node.start_mark.line + 1
    if node.style is None and kind == "bool" and node.value.lower() in _OTHER_BOOL:
        raise _refuse_key(file, place, line, f"expected true, false, or a word in quotation marks, found {node.value}")
    if node.style is None and kind == "int" and _OTHER_INT.fullmatch(node.value):
        raise _refuse_key(file, place, line, f"expected a number that every reader reads alike, found {node.value}; "
                                             "write it plainly, or put a word in quotation marks")  # fmt: skip
    try:
        loader.construct_object(node)
    except (ValueError, OverflowError) as error:
        raise _refuse_key(
            file, place, line, f"expected a value that there is, found {_show(node)} ({error})"
        ) from error


def _find_problem(name: str, value: object) -> str:
    """Why a number or day cannot be reckoned with; empty where it can, or is neither."""
    if isinstance(value, date):
        day = date(value.year, value.month, value.day)
        return "" if _FIRST_DAY <= day <= _LAST_DAY else f"expected a day from {_FIRST_DAY} to {_LAST_DAY}, found {day}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    if isinstance(value, float) and not math.isfinite(value):
        return f"expected a finite number, found {value}"
    limits = [_LIMITS[word] for word in name.split("_") if word in _LIMITS]
    limit = min(limits, default=_MAX_INT if isinstance(value, int) else _MAX_FLOAT)
    return "" if abs(value) <= limit else f"expected a number of at most {limit:,}, found {str(value)[:_SHOWN]}"


def _find_child(node: yaml.Node | None, part: str | int) -> yaml.Node | None:
    pairs: Iterator[tuple[Any, yaml.Node]] = iter(())
    if isinstance(node, yaml.MappingNode):
        pairs = ((key.value, value) for key, value in node.value)
    elif isinstance(node, yaml.SequenceNode):
        pairs = iter(enumerate(node.value))
    return next((value for key, value in pairs if key == part), None)


def _refuse_key(file: ParamsFile, place: Place, line: int, what: str) -> ParamsFileError:
    key = ".".join(map(str, place)) or "top level"
    return ParamsFileError(f"parameters file {file.path}: {key} (line {line}): {what}")


def _refuse_line(path: Path, event: yaml.Event, what: str) -> ParamsFileError:
    mark: Any = event.start_mark  # every event of a text has one
    return ParamsFileError(f"parameters file {path}: line {mark.line + 1}: {what}")


def _tell(path: Path, error: yaml.MarkedYAMLError) -> ParamsFileError:
    mark: Any = error.problem_mark or error.context_mark
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
    what = "a tab; YAML is indented with spaces" if "'\\t'" in str(error.problem) else error.problem or error.context
    return ParamsFileError(f"parameters file {path}: {where}expected YAML, found {what}")


def _show(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"
    return repr(node.value) if len(node.value) <= _SHOWN else f"{node.value[:_SHOWN]!r} …"
