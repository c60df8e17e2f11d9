"""Finds the images of a folder or a zip, with labels from sub-folders, and reads them in place."""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from steadygan.data.decode import EXTENSIONS, Unreadable
from steadygan.errors import SteadyganError

MAX_BYTES = 1 << 30
"""Files and zip entries that are larger unpacked are refused unread."""


class Archive:
    """A zip that may be read after a fork: every process opens it for itself, as an open file's place is shared."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._owner = os.getpid()
        self._zip = zipfile.ZipFile(path)

    def entries(self) -> list[zipfile.ZipInfo]:
        """All entries, in the order of the zip."""
        return self._zip.infolist()

    def read(self, name: str) -> bytes:
        """The bytes of one entry, unpacked; raises what zipfile raises, and Unreadable where it is too large."""
        if self._owner != os.getpid():
            self._owner, self._zip = os.getpid(), zipfile.ZipFile(self.path)
        entry = self._zip.getinfo(name)
        _refuse_large(entry.file_size)
        return self._zip.read(entry)

    def close(self) -> None:
        """Close the zip."""
        self._zip.close()


@dataclass(frozen=True)
class Listing:
    """The images found under one root, sorted by name.

    Attributes:
        root: the folder or the zip.
        kind: ``folder`` or ``zip``.
        names: path of each image relative to the root, with forward slashes, ascending.
        stamp: hash of the root and of each file's name, size, time and mode: changes when the content may have.
        refused: entries that must not be read, with the reason.
        ignored: number of files that are no images by their ending.
        archive: the zip, for a zip.
    """

    root: Path
    kind: str
    names: list[str]
    stamp: str
    refused: tuple[tuple[str, str], ...] = ()
    ignored: int = 0
    archive: Archive | None = None

    def open(self, name: str) -> BinaryIO:
        """A seekable file of one image's bytes; OSError or Unreadable where it cannot be had."""
        if self.archive is not None:
            return io.BytesIO(self.read(name))
        return (self.root / name).open("rb")

    def read(self, name: str) -> bytes:
        """All bytes of one image.

        Raises:
            Unreadable: it cannot be read, or is larger than ``MAX_BYTES``.
        """
        try:
            if self.archive is not None:
                return self.archive.read(name)
            with (self.root / name).open("rb", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                _refuse_large(size)
                return file.readall()
        except Unreadable:
            raise
        except OSError as fault:
            raise Unreadable(f"cannot be read: {fault.strerror or fault}") from fault
        except Exception as fault:  # zipfile raises RuntimeError, NotImplementedError, zlib.error, ...
            raise Unreadable(f"cannot be unpacked: {' '.join(str(fault).split())}") from fault

    def close(self) -> None:
        """Close the zip, if there is one."""
        if self.archive is not None:
            self.archive.close()


def list_folder(root: Path) -> Listing:
    """All images in a folder and its sub-folders; hidden files and folders are left out.

    Raises:
        SteadyganError: a folder cannot be read, or holds no images.
    """
    found: list[str] = []  # one string a file, as the list must stay small for millions of them
    ignored = 0
    try:
        for name, status in _walk(root):
            if _ending(name) in EXTENSIONS:
                mode = stat.S_IMODE(status.st_mode)
                found.append(f"{name}\0{status.st_size} {status.st_mtime_ns} {mode}")
            else:
                ignored += 1
    except OSError as fault:
        raise SteadyganError(
            f"cannot read the folder {fault.filename or root}: {fault.strerror}", "check its permissions"
        ) from fault
    if not found:
        raise _nothing(f"the folder {root}", ignored)
    found.sort()
    digest = hashlib.blake2b(str(root.resolve()).encode(errors="surrogateescape"), digest_size=16)
    for place, item in enumerate(found):
        digest.update(f"\0{item}".encode(errors="surrogateescape"))
        found[place] = item.partition("\0")[0]
    return Listing(root, "folder", found, digest.hexdigest(), ignored=ignored)


def list_zip(root: Path) -> Listing:
    """All images in a zip, which is read in place and never unpacked to disk.

    Entries with ``..`` or an absolute path are refused; hidden entries and ``__MACOSX`` are left out.

    Raises:
        SteadyganError: it cannot be read, is no zip, or holds no images.
    """
    try:
        status = root.stat()
        archive = Archive(root)
    except zipfile.BadZipFile as fault:
        raise SteadyganError(f"{root} is not a zip, or it is broken ({fault})", "pack or fetch it again") from fault
    except OSError as fault:
        raise SteadyganError(f"cannot read {root}: {fault.strerror}", "check its permissions") from fault
    names: set[str] = set()
    refused: list[tuple[str, str]] = []
    ignored = 0
    for entry in archive.entries():
        name = entry.filename
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if entry.is_dir() or any(_hidden(part) for part in parts if part != ".."):
            continue
        if name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name) or ".." in parts:
            refused.append((name, "refused: its path leads out of the zip"))
        elif _ending(name) in EXTENSIONS:
            names.add(name)
        else:
            ignored += 1
    if not names:
        archive.close()
        raise _nothing(f"the zip {root}", ignored, len(refused))
    key = (str(root.resolve()), status.st_size, status.st_mtime_ns)
    stamp = hashlib.blake2b(repr(key).encode(errors="surrogateescape"), digest_size=16).hexdigest()
    return Listing(root, "zip", sorted(names), stamp, tuple(refused), ignored, archive)


def folder_labels(names: list[str]) -> tuple[npt.NDArray[np.int64] | None, tuple[str, ...]]:
    """Labels from sub-folders: where every image lies directly in one of at least two sub-folders, that is its class.

    Folders that all images share at the start of their path are passed over first.

    Returns:
        (N,) int64 and the class names in ascending order, or None and no names.
    """
    parents = [name.rpartition("/")[0] for name in names]
    distinct = sorted(set(parents))
    shared = os.path.commonpath(distinct) if all(distinct) else ""
    short = {parent: parent[len(shared) :].strip("/") for parent in distinct}
    if len(distinct) < 2 or any(not rest or "/" in rest for rest in short.values()):
        return None, ()
    number = {parent: place for place, parent in enumerate(distinct)}
    labels = np.fromiter((number[parent] for parent in parents), dtype=np.int64, count=len(parents))
    return labels, tuple(short[parent] for parent in distinct)


def _walk(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Name relative to the root and status of every regular file, depth first; each folder is entered once."""
    pending, entered = [""], set()
    while pending:
        prefix = pending.pop()
        folder = root / prefix
        status = folder.stat()
        if (status.st_dev, status.st_ino) in entered:  # a link that leads back
            continue
        entered.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as entries:
            for entry in entries:
                if _hidden(entry.name):
                    continue
                if entry.is_dir():
                    pending.append(f"{prefix}{entry.name}/")
                elif entry.is_file():
                    yield f"{prefix}{entry.name}", entry.stat()


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _ending(name: str) -> str:
    # Not Path.suffix, which costs seconds over 200,000 names.
    return name[name.rfind(".") :].lower()


def _refuse_large(size: int) -> None:
    if size > MAX_BYTES:
        raise Unreadable(f"{size} bytes unpacked, more than {MAX_BYTES}")


def _nothing(what: str, ignored: int, refused: int = 0) -> SteadyganError:
    if refused:
        return SteadyganError(
            f"{what} holds no images that may be read ({refused} entries lead out of it)", "pack it again"
        )
    if ignored:
        return SteadyganError(
            f"{what} holds {ignored} files but no images", "give one with PNG, JPEG, PGM, PPM, BMP, WebP or TIFF files"
        )
    return SteadyganError(f"{what} is empty", "put images into it, or give another")
