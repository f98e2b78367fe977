"""A process that has everything loaded and forks a child for each run: a run costs tenths of a second, not seconds.

Started as ``python -m pipeline_assets.drills.warm PARAMS_FILE`` by ``workers.py``; speaks JSON, a line a message.
The process itself must never do work with polars or LightGBM: their threads would be missing in the children, which
would then wait for ever. It only imports what a child has found to be needed, and loads its compiled kernels.
"""

import base64
import contextlib
import ctypes
import importlib
import json
import os
import pickle
import select
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO, Any, Final, NoReturn

from pipeline_assets.adapters.stores import open_stores
from pipeline_assets.drills.chain import PROGRAMS
from pipeline_assets.settings import Params, read_params

_PR_SET_PTRACER: Final = 0x59616D61  # Yama: without this, only an ancestor may trace a process
_OURS: Final = "pipeline_assets."
_ANY: Final = ctypes.c_ulong(-1)


@dataclass(frozen=True)
class _Child:
    pid: int
    commands: IO[bytes]
    reports: IO[bytes]


def main() -> None:
    """Serve until the standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not get between the answers
    params = read_params(Path(sys.argv[1]))
    child: _Child | None = None
    for line in sys.stdin:
        request = json.loads(line)
        match request["do"]:
            case "start":
                child = _fork(request, params)
                answer: Mapping[str, Any] = {"pid": child.pid}
            case "go":
                assert child is not None
                answer = _let_go(child)
            case _:
                assert child is not None
                child.commands.close()
                child.reports.close()
                with contextlib.suppress(ChildProcessError):  # it died, and that was reported
                    os.waitpid(child.pid, 0)
                answer = {}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _fork(request: Mapping[str, Any], params: Params) -> _Child:
    commands, reports = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(commands[1])
        os.close(reports[0])
        _live(os.fdopen(commands[0], "rb", 0), reports[1], request, params)
    os.close(commands[0])
    os.close(reports[1])
    child = _Child(pid, os.fdopen(commands[1], "wb", 0), os.fdopen(reports[0], "rb"))
    child.reports.readline()  # it can be traced now
    return child


def _live(commands: IO[bytes], reports: int, request: Mapping[str, Any], params: Params) -> NoReturn:
    """The child's life: run the program each time a byte comes, say how it went, end when no byte can come."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANY, 0, 0, 0)
    os.write(reports, b"\n")
    program, stores = PROGRAMS[request["program"]], open_stores(request["root"])
    first, last = date.fromisoformat(request["first"]), date.fromisoformat(request["last"])
    before = set(sys.modules)
    # Waiting is no read: whether a read that began before the trace is counted in it is a matter of luck.
    while select.select([commands], [], []) and commands.read(1):
        error = None
        try:
            program(stores, params, first, last)
        except BaseException as raised:  # whatever it is, it is told to the drill, which judges it
            error = {
                "type": type(raised).__name__,
                "errnos": [one.errno for one in _list_causes(raised) if isinstance(one, OSError)],
                "text": str(raised),
            }
        needed = {"modules": sorted(set(sys.modules) - before), "kernels": _list_kernels()}
        answer = json.dumps({"error": error, **needed}) + "\n"
        os.write(reports, answer.encode())
    os._exit(0)


def _list_kernels() -> list[tuple[str, str, str]]:
    """Module, name and signatures (pickled, in base64) of the kernels that were compiled or loaded."""
    return [
        (module, name, base64.b64encode(pickle.dumps(found.signatures)).decode())
        for module in [name for name in sys.modules if name.startswith(_OURS)]
        for name, found in vars(sys.modules[module]).items()
        if hasattr(found, "signatures") and found.__module__ == module and found.signatures
    ]


def _list_causes(error: BaseException | None) -> list[BaseException]:
    causes = []
    while error is not None and error not in causes:
        causes.append(error)
        error = error.__cause__
    return causes


def _let_go(child: _Child) -> Mapping[str, Any]:
    child.commands.write(b"g")
    line = child.reports.readline()
    if not line.endswith(b"\n"):
        _, status = os.waitpid(child.pid, 0)
        return {"died": -os.waitstatus_to_exitcode(status)}
    report = json.loads(line)
    for name in report.pop("modules"):
        with contextlib.suppress(Exception):  # a module that cannot be imported by its name is not warmed
            importlib.import_module(name)
    for module, name, pickled in report.pop("kernels"):
        kernel = getattr(sys.modules[module], name)
        for signature in set(pickle.loads(base64.b64decode(pickled))) - set(kernel.signatures):  # noqa: S301 - of our child
            kernel.compile(signature)  # loads it from the cache, a tenth of a second that no child spends again
    return {"died": None, **report}


if __name__ == "__main__":
    main()
