"""What strangers may put into a folder that is no data, each made for real, and what restores the peace."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final


def _make_socket(folder: Path) -> str:
    here = Path.cwd()
    os.chdir(folder)  # the path of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind("socket.csv")
    finally:
        os.chdir(here)
    return "socket.csv"


def _make_device(folder: Path) -> str:
    os.mknod(folder / "device.csv", 0o644 | 0o020000, os.makedev(1, 5))  # /dev/zero, which has no end
    return "device.csv"


def _make_pipe(folder: Path) -> str:
    os.mkfifo(folder / "pipe.csv")
    return "pipe.csv"


def _link(folder: Path, target: str, name: str) -> str:
    (folder / name).symlink_to(target)
    return name


def _write(folder: Path, name: str, shown: str) -> str:
    (folder / name).write_bytes(b"1")
    return shown


def _make_folder(folder: Path, name: str) -> str:
    (folder / name).mkdir()
    return name


THINGS: Final[dict[str, Callable[[Path], str]]] = {
    "a named pipe": _make_pipe,
    "a socket": _make_socket,
    "a device": _make_device,
    "a dangling link": lambda folder: _link(folder, "nothing", "dangling.csv"),
    "a link to a file": lambda folder: _link(folder, "/etc/hostname", "link.csv"),
    "a link to itself": lambda folder: _link(folder, "loop.csv", "loop.csv"),
    "a link to a folder": lambda folder: _link(folder, "/proc", "proc"),
    "a folder that is called like a file": lambda folder: _make_folder(folder, "x.parquet"),
    "a name that is no UTF-8": lambda folder: _write(folder, os.fsdecode(b"caf\xe9.csv"), "caf\\xe9.csv"),
    "a name with a line in it": lambda folder: _write(folder, "a\nb.csv", "a\\x0ab.csv"),
    "a long name": lambda folder: _write(folder, "x" * 250 + ".csv", f"{'x' * 60}...{'x' * 16}.csv (254 characters)"),
}
