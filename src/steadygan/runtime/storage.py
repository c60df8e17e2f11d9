"""Files that are whole or absent: write under a temporary name, flush to the disk, rename."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from steadygan.errors import SteadyganError


def sync_folder(folder: Path) -> None:
    """Make renames inside ``folder`` durable, where the system allows folders to be flushed."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def write_file(path: Path, content: bytes | str) -> None:
    """Write ``content`` so that ``path`` holds either the old or the new text, whatever happens."""
    data = content.encode() if isinstance(content, str) else content
    partial = path.with_name(f".{path.name}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def free_bytes(folder: Path) -> int:
    """Free space on the disk that holds ``folder`` or its nearest existing parent."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def require_space(folder: Path, needed: int, what: str) -> None:
    """Raise SteadyganError when the disk of ``folder`` has less than ``needed`` bytes free."""
    free = free_bytes(folder)
    if free < needed:
        raise SteadyganError(
            f"{what} needs {size(needed)}, but the disk of {folder} has {size(free)} free",
            "free some space, or choose another place with --out",
            code=1,
        )


def make_folder(folder: Path) -> Path:
    """Create ``folder`` with its parents; one clear line where that is not allowed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SteadyganError(f"cannot create {folder} ({reason(error)})", "choose another place with --out") from None
    if not os.access(folder, os.W_OK):
        raise SteadyganError(f"no write permission in {folder}", "choose another place with --out")
    return folder


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says while ``path`` is written into one line."""
    try:
        yield
    except OSError as error:
        raise SteadyganError(
            f"cannot write {path} ({reason(error)})", "free some space, or choose another place with --out", code=1
        ) from None


def reason(error: Exception) -> str:
    """An error, mostly the operating system's, in a few words."""
    if not isinstance(error, OSError):
        return f"{type(error).__name__}: {error}"
    if error.errno == errno.ENOSPC:
        return "the disk is full"
    if error.errno == errno.EEXIST:
        return "a file of that name is in the way"
    return (error.strerror or str(error)).lower()


def cannot_write(folder: Path, error: OSError) -> SteadyganError:
    """The one line for a disk that refuses, said of ``folder``."""
    return SteadyganError(
        f"cannot write in {folder} ({reason(error)})", "free some space or allow it, then resume the run", code=1
    )


def size(count: float) -> str:
    """A byte count as a person reads it."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
