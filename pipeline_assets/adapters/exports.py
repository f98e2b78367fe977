"""Files for people, outside of the data root: exports, reports, pictures."""

from pathlib import Path

from pipeline_assets.adapters.storage import LocalStorage


def write_file(target: Path, content: str | bytes, *, may_replace: bool = True) -> None:
    """Write a file wholly or not at all: killed at any point, the old file is there, or none; durable on return.

    A killed writer may leave a hidden temporary file beside it. A link is followed: what it points to is replaced.

    Args:
        target: The file; its folder exists.
        content: Its bytes, or text that is written as UTF-8 with the line ends it has.
        may_replace: Whether a file that is there may be replaced.

    Raises:
        FileExistsError: There is a file, and it may not be replaced.
        FileNotFoundError: There is no such folder.
        ValueError: There is something that is no file, such as a folder or a device.
    """
    if target.exists() and not target.is_file():
        raise ValueError(f"{target}: expected a file or nothing, found a folder, a pipe or a device; name a file")
    final = target.resolve()
    if not final.parent.is_dir():
        raise FileNotFoundError(f"{target}: expected its folder {final.parent} to exist, found none; make it first")
    storage = LocalStorage(final.parent)
    encoded = content.encode() if isinstance(content, str) else content
    if may_replace:
        storage.write(final.name, encoded)
    elif not storage.create(final.name, encoded):
        raise FileExistsError(f"{target}: is there already; name another file")
