"""Looks through a WebDataset shard: where each sample's image lies in the tar, and its label."""

from __future__ import annotations

import json
import sys
import tarfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from steadygan.data.decode import EXTENSIONS

LARGEST_LABEL = 1 << 20
FIELD = "label"
"""Field of a sample's json that is its class where no other is named."""
HEADER = 512


@dataclass
class Scanned:
    """What a shard holds.

    Attributes:
        places: offset and size in bytes of each sample's image, one behind the other.
        labels: its class as it is written there, or None.
        ignored: members that are neither images nor labels.
        fault: why the shard ends before its end, or cannot be read at all; empty: it is whole.
    """

    places: array[int] = field(default_factory=lambda: array("q"))
    labels: list[str | None] = field(default_factory=list)
    ignored: int = 0
    fault: str = ""

    def __len__(self) -> int:
        return len(self.labels)


@dataclass
class _Sample:
    """Members of one key, as far as they have come."""

    key: str = ""
    image: tuple[int, int] | None = None
    written: str | None = None
    told: str | None = None


def scan(file: BinaryIO, size: int, label_field: str | None) -> Scanned:
    """Look through a tar without reading the images.

    Members with one key stand side by side: ``000/0042.jpg``, ``000/0042.cls``, ``000/0042.json``. The key is the path
    up to the first dot of the name. What cannot be read is said in ``fault``, never raised.

    Args:
        file: the tar, seekable.
        size: its bytes.
        label_field: field of the json that is the class, with dots between the levels; None: ``.cls``, else ``label``.
    """
    found = Scanned()
    if size == 0:
        found.fault = "it is empty (0 bytes)"
        return found
    now = _Sample()
    try:
        for member, tar in _members(file, size):
            key, ending = _split(member.name)
            if key != now.key:
                _close(found, now)
                now = _Sample(key)
            if not _take(now, tar, member, ending, label_field):
                found.ignored += 1
    except _Broken as fault:
        found.fault = str(fault)
    except (tarfile.TarError, OSError, EOFError, ValueError, OverflowError) as fault:
        found.fault = f"it is broken: {' '.join(str(fault).split())}"
    _close(found, now)
    if found.fault and not len(found):
        found.fault += "; nothing in it can be read"
    elif found.fault:
        found.fault += f"; what lies behind sample {len(found)} is lost"
    elif not len(found):
        found.fault = "it holds no images"
    return found


class _Broken(Exception):
    """A tar that ends before its end; the text says how."""


def _members(file: BinaryIO, size: int) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    start = file.read(6)
    if start[:2] == b"\x1f\x8b" or start[:3] == b"BZh" or start[:6] == b"\xfd7zXZ\0" or start[:4] == b"(\xb5/\xfd":
        raise _Broken("it is compressed, so that nothing in it can be found without reading all; unpack it to .tar")
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r:") as tar:
        while (member := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # tarfile keeps all of them otherwise
            if not member.isreg() or member.issparse():
                continue
            if member.offset_data + member.size > size:
                raise _Broken("it is cut off")
            yield member, tar
        end = tar.offset
    # tarfile takes a header that it cannot read for the end
    file.seek(end)
    if file.read(HEADER).strip(b"\0"):
        raise _Broken("it is broken in the middle")


def _split(name: str) -> tuple[str, str]:
    folder, slash, base = name.rpartition("/")
    stem, _, ending = base.partition(".")
    return f"{folder}{slash}{stem}", ending.lower()


def _take(now: _Sample, tar: tarfile.TarFile, member: tarfile.TarInfo, ending: str, label_field: str | None) -> bool:
    """Note what a member is; False where it is neither an image nor a label."""
    if now.key.rpartition("/")[2] == "":  # hidden, as ._ files that some systems add
        return False
    if f".{ending.rpartition('.')[2]}" in EXTENSIONS:
        if now.image is None:
            now.image = (member.offset_data, member.size)
        return True
    if ending in ("cls", "json") and member.size <= LARGEST_LABEL:
        file = tar.extractfile(member)
        text = file.read().decode("utf-8", errors="replace").strip() if file is not None else ""
        if ending == "json":
            now.told = _field(text, label_field or FIELD)
        elif label_field is None:
            now.written = text or None
        return True
    return False


def _field(text: str, path: str) -> str | None:
    """A field of a json as the text of a class: a whole number, a word or a truth value; None: it has none."""
    try:
        value: Any = json.loads(text)
    except ValueError:
        return None
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, (str, int)) and value != "" else None


def _close(found: Scanned, now: _Sample) -> None:
    if now.image is None:
        return
    label = now.written if now.written is not None else now.told
    found.places.extend(now.image)
    found.labels.append(None if label is None else sys.intern(label))


def member_name(header: bytes) -> str:
    """The name in the 512 bytes before a member's data, its first hundred letters where it is longer."""
    try:
        return tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape").name
    except tarfile.TarError:
        return "a member"
