"""System calls of a run: which it makes on the pipeline's own files, and breaking exactly one of them, with strace.

strace counts the calls of each thread by itself, and ``-P`` knows exact paths only while temporary files have random
names. So a run that is not broken is traced first, which gives every call its number among the main thread's calls of
its name; a later run breaks the call of that number, and its own trace must show that this was the call that was meant.
Where it was not, because the process made a call more or less elsewhere, the trace says by how many the number is off.
"""

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline_assets.drills.drill import DrillError

# "?" before a name: not every architecture has it.
CHANGING: Final = (
    "?open", "openat", "?openat2", "?creat", "write", "writev", "pwrite64", "?sendfile", "copy_file_range",
    "?truncate", "ftruncate", "fallocate", "fsync", "fdatasync", "sync_file_range", "?rename", "?renameat",
    "renameat2", "?link", "linkat", "?symlink", "symlinkat", "?unlink", "unlinkat", "?rmdir", "?mkdir", "mkdirat",
)  # fmt: skip
READING: Final = ("?open", "openat", "read", "?getdents", "getdents64")
READING_KINDS: Final = ("open", "read", "list folder")
_KINDS: Final = {
    "write": ("write", "writev", "pwrite64", "sendfile", "copy_file_range"),
    "truncate": ("truncate", "ftruncate", "fallocate"),
    "flush": ("fsync", "fdatasync", "sync_file_range"),
    "rename": ("rename", "renameat", "renameat2"),
    "link": ("link", "linkat", "symlink", "symlinkat"),
    "unlink": ("unlink", "unlinkat", "rmdir"),
    "mkdir": ("mkdir", "mkdirat"),
    "read": ("read",),
    "list folder": ("getdents", "getdents64"),
}
_KIND_OF: Final = {name: kind for kind, names in _KINDS.items() for name in names}
_OPENS: Final = ("open", "openat", "openat2", "creat")
_LINE: Final = re.compile(r"^(?:(\d+) +)?(\d+\.\d+) (\w+)\((.*)$")  # process, if more than one; time; call
_PATH: Final = re.compile(r'(?<!AT_FDCWD)<(/[^>]*)>|"(/[^"]*)"')  # of a descriptor, or as an argument
_TEMPORARY: Final = re.compile(r"\.tmp-[0-9a-f]+")


@dataclass(frozen=True)
class Call:
    """One call of the main thread on a file or folder of the data root.

    Attributes:
        name: Of the system call.
        number: Among all calls of this name since the trace began, from 1.
        place: Among those of them that are on the data root, from 1; this is what stays the same from run to run.
        kind: What it does: create, open folder, open, write, flush, rename, link, unlink, mkdir, read, list folder.
        path: What it is about, relative to the data root; random parts of temporary names are left out.
        at: When, in seconds since the epoch.
        was_broken: Whether the trace says that it was made to fail.
    """

    name: str
    number: int
    place: int
    kind: str
    path: str
    at: float
    was_broken: bool

    def is_alike(self, other: "Call") -> bool:
        """Whether it does the same to the same file as a call of another run."""
        return (self.name, self.kind, self.path) == (other.name, other.kind, other.path)

    def is_same(self, other: "Call") -> bool:
        """Whether it is the same call of another run; how often a file is read may vary, so any read of it is."""
        return self.is_alike(other) and (self.place == other.place or self.kind in READING_KINDS)

    @property
    def is_on_temporary(self) -> bool:
        """Whether it is about a temporary file, which no reader sees."""
        return ".tmp-" in self.path

    def __str__(self) -> str:
        """For a person."""
        return f"{self.kind} {self.path} ({self.name} no. {self.place})"


def find_strace() -> str:
    """The program strace.

    Raises:
        DrillError: It is not installed.
    """
    found = shutil.which("strace")
    if found is None:
        raise DrillError("expected the program strace, found none; install it: apt-get install strace (Debian package)")
    return found


def select(calls: tuple[str, ...], *, launched: bool) -> list[str]:
    """The options of strace that trace calls with their times and paths.

    Args:
        calls: Names of system calls.
        launched: Whether strace starts the program, all of whose processes are traced then; otherwise it attaches to
            a thread, and threads that this one starts are not traced.
    """
    # The first line is to be of the program itself: see read_main.
    names = ("execve", *calls) if launched else calls
    return [*(["-f"] if launched else []), "-y", "-s", "0", "-ttt", "-e", f"trace={','.join(names)}"]


def break_call(call: Call, how: str, *, shift: int = 0, launched: bool = False) -> list[str]:
    """The options of strace that break one call: ``signal=KILL`` or ``error=ENOSPC``."""
    return [*select((call.name,), launched=launched), "-e", f"inject={call.name}:{how}:when={call.number + shift}"]


def find_shift(expected: Sequence[Call], found: Sequence[Call]) -> int:
    """By how many the numbers of a run's calls are off, told by the last of them."""
    alike = [one for one in expected if found and one.is_alike(found[-1])]
    nearest = min(alike, key=lambda one: abs(one.place - found[-1].place), default=None)
    return found[-1].number - nearest.number if nearest else 0


@contextmanager
def attach(pid: int, options: list[str], output: Path) -> Iterator[None]:
    """Trace a process that waits; on return it has not made a call yet.

    Raises:
        DrillError: strace is not installed or may not trace.
    """
    command = [find_strace(), *options, "-o", str(output), "-p", str(pid)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        if "attached" not in line:
            raise DrillError(
                f"strace may not trace here: {line.strip()}; allow it (in a container: --cap-add=SYS_PTRACE)"
            )
        yield
    finally:
        process.terminate()  # it detaches; where its process has died it has ended already
        process.communicate()


def read_main(trace: Path) -> int:
    """The process that a trace of a launched program began with."""
    with trace.open() as lines:
        return int(lines.readline().split()[0])


def read_calls(trace: Path, root: Path, main: int | None = None) -> list[Call]:
    """The calls on the data root ``root`` in a trace, in their order.

    Args:
        trace: What strace wrote.
        root: The data root.
        main: The process whose calls count, where several threads or processes were traced.

    Raises:
        DrillError: Another thread changed a file of the data root: such calls cannot be broken one by one.
    """
    numbers: Counter[str] = Counter()
    places: Counter[str] = Counter()
    calls = []
    for line in trace.read_text(errors="replace").splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        process, at, name, rest = found.groups()
        is_main = main is None or process is None or int(process) == main
        numbers[name] += is_main
        path = _find_path(rest, root)
        if path is None:
            continue
        kind = _find_kind(name, rest, root / path)
        if is_main:
            places[name] += 1
            calls.append(Call(name, numbers[name], places[name], kind, path, float(at), "(INJECTED)" in rest))
        elif kind not in ("open folder", *READING_KINDS):
            raise DrillError(f"expected the main thread alone to change files, found {kind} {path} by another one")
    return calls


def _find_path(arguments: str, root: Path) -> str | None:
    """The last path below ``root`` that a call names: of a rename or link, the new one."""
    prefix = f"{root}/"
    inside = [path for pair in _PATH.findall(arguments) if (path := pair[0] or pair[1]).startswith(prefix)]
    return _TEMPORARY.sub(".tmp-*", inside[-1].removeprefix(prefix)) if inside else None


def _find_kind(name: str, arguments: str, path: Path) -> str:
    if name not in _OPENS:
        return _KIND_OF[name]
    if "O_CREAT" in arguments or name == "creat":
        return "create"
    if "O_WRONLY" in arguments or "O_RDWR" in arguments:
        return "write"
    if "O_DIRECTORY" in arguments:
        return "list folder"
    return "open folder" if path.is_dir() else "open"
