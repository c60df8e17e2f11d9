"""The built-in sets that come as canonical files: MNIST, Fashion-MNIST, CIFAR-10.

The files are looked for in ``data.folder``, ``$STEADYGAN_DATA`` and the cache, and downloaded where allowed.
``$STEADYGAN_MIRROR`` names one base address from which ``<base>/<set>/<file>`` is taken instead of the public ones.
No pickle is read: of CIFAR-10 it is the binary version, or the lossless picture strips of its 5,000-image extract.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from steadygan.config import DataConfig
from steadygan.data.download import Progress, fetch
from steadygan.errors import SteadyganError, unknown
from steadygan.runtime.storage import reason

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
Part = tuple[Images, Labels]
"""Images (N, C, H, W) and their classes (N,)."""

LARGEST = 1 << 30
"""Bytes that one canonical file may unpack to; a header that claims more is taken for damage."""


@dataclass(frozen=True)
class File:
    """One file as its makers published it; ``content`` is the md5 of what is packed inside."""

    name: str
    size: int
    md5: str
    content: str = ""


@dataclass(frozen=True)
class Reader:
    """The files of the wanted parts, found: reading them is put off until it is known that they are the best."""

    folder: Path
    read: Callable[[], list[Part]]
    note: str = ""
    """What is missing from the published set, in words."""


@dataclass(frozen=True)
class CanonicalSet:
    """One built-in set: its files by part (images first), where they are published and how they are read."""

    title: str
    label_names: tuple[str, ...]
    licence: str
    mirrors: tuple[str, ...]
    parts: dict[str, tuple[File, ...]]
    find: Callable[[Path, CanonicalSet, tuple[str, ...]], Reader | None]
    """``find(folder, set, parts)``: None where the folder lacks a file of these parts."""


def load_canonical(
    name: str, config: DataConfig, *, cache: Path, progress: Progress | None = None
) -> tuple[Images, Labels, list[str], dict[str, Any]]:
    """A built-in set: images uint8 (N, C, H, W), classes int64 (N,), names of the classes, and facts about it.

    Looks into ``config.folder``, then ``$STEADYGAN_DATA``, each also with ``/<name>``, then
    ``<cache>/downloads/<name>``; downloads into the last where ``config.download`` allows. ``facts`` holds ``title``,
    ``split``, ``count``, ``folder``, ``licence``, ``extract`` (whether it is only a part of the set) and ``note``.

    Raises:
        SteadyganError: unknown name; files absent and not to be had; a truncated, damaged or foreign file.
    """
    if name not in CANONICAL:
        raise unknown("built-in set", name, CANONICAL)
    chosen = CANONICAL[name]
    parts = ("train", "test") if config.split == "all" else (config.split,)
    if config.folder and not Path(config.folder).expanduser().is_dir():
        raise SteadyganError(f"data.folder {config.folder} is not a folder", f"name the one with the files of {name}")
    downloads = cache / "downloads" / name
    folders = _folders(name, config, downloads)
    reader = _search(chosen, parts, folders)
    if reader is None and config.download:
        _download(name, chosen, parts, downloads, progress)
        reader = _search(chosen, parts, [downloads])
    if reader is None:
        raise _absent(chosen, parts, folders)
    loaded = reader.read()
    images = np.concatenate([part[0] for part in loaded])
    labels = np.concatenate([part[1] for part in loaded])
    if int(labels.max()) >= len(chosen.label_names):
        raise _damaged(reader.folder, f"holds class {labels.max()}, which {chosen.title} does not have")
    facts = {"title": chosen.title, "split": config.split, "count": len(images), "folder": str(reader.folder)}
    facts |= {"licence": chosen.licence, "extract": bool(reader.note), "note": reader.note}
    return images, labels, list(chosen.label_names), facts


def _folders(name: str, config: DataConfig, downloads: Path) -> list[Path]:
    """Where to look. The set's own folder goes first: MNIST and Fashion-MNIST use the same file names."""
    roots = [Path(root).expanduser() for root in (config.folder, os.environ.get("STEADYGAN_DATA")) if root]
    return [folder for root in roots for folder in (root / name, root)] + [downloads]


def _search(chosen: CanonicalSet, parts: tuple[str, ...], folders: list[Path]) -> Reader | None:
    """The first folder that has every file of these parts, a whole set before an extract."""
    try:
        found = [reader for folder in folders if (reader := chosen.find(folder, chosen, parts))]
    except OSError as fault:
        raise SteadyganError(f"cannot read {fault.filename} ({reason(fault)})", "check its permissions") from fault
    return min(found, key=lambda reader: bool(reader.note), default=None)


def _download(name: str, chosen: CanonicalSet, parts: tuple[str, ...], folder: Path, progress: Progress | None) -> None:
    mirror = os.environ.get("STEADYGAN_MIRROR")
    bases = [f"{mirror.rstrip('/')}/{name}/"] if mirror else chosen.mirrors
    for file in _files(chosen, parts):
        addresses = [base + file.name for base in bases]
        fetch(addresses, folder / file.name, checksum=f"md5:{file.md5}", size=file.size, progress=progress)


def _files(chosen: CanonicalSet, parts: tuple[str, ...]) -> list[File]:
    """Each file once: parts may share one, as CIFAR-10's share the archive."""
    return list(dict.fromkeys(file for part in parts for file in chosen.parts[part]))


def _absent(chosen: CanonicalSet, parts: tuple[str, ...], folders: list[Path]) -> SteadyganError:
    names = ", ".join(file.name for file in _files(chosen, parts))
    pickles = [path for folder in folders for path in map(folder.joinpath, PICKLES) if path.exists()]
    why = f" ({pickles[0]} is the Python version: pickles, which are never loaded)" if pickles else ""
    looked = ", ".join(map(str, dict.fromkeys(folders)))
    remedy = f"put {names} into {folders[-1]}, or name the folder that has it by data.folder, or allow data.download"
    return SteadyganError(f"the files of {chosen.title} are not in {looked}{why}", remedy)


def _damaged(path: Path, why: str) -> SteadyganError:
    return SteadyganError(f"{path} {why}", "put a good copy in its place, or delete it to have it downloaded again")


# MNIST and its like: IDX files, packed by gzip or not.


def _find_idx(folder: Path, chosen: CanonicalSet, parts: tuple[str, ...]) -> Reader | None:
    pairs: list[tuple[Path, Path]] = []
    for part in parts:
        images, labels = (_existing(folder, file) for file in chosen.parts[part])
        if images is None or labels is None or _is_foreign(images, chosen):
            return None
        pairs.append((images, labels))
    return Reader(folder, lambda: [_read_pair(*pair) for pair in pairs])


def _existing(folder: Path, file: File) -> Path | None:
    """The file as published, or unpacked (some unpackers put a dot for the first of the last two hyphens)."""
    bare = file.name.removesuffix(".gz")
    names = (file.name, bare, bare.replace("-idx", ".idx"))
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _is_foreign(path: Path, chosen: CanonicalSet) -> bool:
    """Whether this image file is, byte for byte, that of another set with the same file names."""
    files = [parts[0] for other in CANONICAL.values() if other is not chosen for parts in other.parts.values()]
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "md5").hexdigest()
    return any(file.content and digest in (file.md5, file.content) for file in files)


def _read_pair(images_path: Path, labels_path: Path) -> Part:
    images, labels = read_idx(images_path, 3), read_idx(labels_path, 1)
    if len(images) != len(labels):
        raise _damaged(labels_path, f"has {len(labels)} labels, but {images_path.name} has {len(images)} images")
    return images[:, None], labels.astype(np.int64)


def read_idx(path: Path, dimensions: int) -> Images:
    """The unsigned bytes of an IDX file, gzip-packed or not, as an array of so many dimensions.

    Raises:
        SteadyganError: another magic number, a body shorter or longer than its header says, a broken gzip stream.
    """
    try:
        with path.open("rb") as probe:
            packed = probe.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if packed else path.open("rb") as stream:
            return _read_idx(stream, path, dimensions)
    except EOFError as fault:
        raise _damaged(path, "is truncated: its gzip stream breaks off") from fault
    except (gzip.BadGzipFile, zlib.error) as fault:
        raise _damaged(path, f"is a damaged gzip file ({fault})") from fault
    except OSError as fault:
        raise SteadyganError(f"cannot read {path} ({reason(fault)})", "check its permissions") from fault


def _read_idx(stream: io.BufferedIOBase, path: Path, dimensions: int) -> Images:
    header = stream.read(4 + 4 * dimensions)
    magic = bytes([0, 0, 8, dimensions])
    if header[:4] != magic:
        raise _damaged(path, f"is not the expected IDX file: magic number {header[:4].hex()} and not {magic.hex()}")
    if len(header) < 4 + 4 * dimensions:
        raise _damaged(path, "is truncated in its header")
    shape = tuple(int(side) for side in np.frombuffer(header, ">u4", offset=4))
    expected = 1
    for side in shape:
        expected *= side
    if not 0 < expected <= LARGEST:
        raise _damaged(path, f"has a header that claims the shape {shape}")
    body = stream.read(expected + 1)
    if len(body) < expected:
        raise _damaged(path, f"is truncated: {len(body)} bytes and not the {expected} that its header promises")
    if len(body) > expected:
        raise _damaged(path, f"is longer than the {expected} bytes that its header promises")
    return np.frombuffer(body, np.uint8).reshape(shape)


# CIFAR-10: rows of one class byte and 3,072 image bytes (channels, rows, columns), or the strips of its extract.

ROW = 1 + 3 * 32 * 32
ARCHIVE = File("cifar-10-binary.tar.gz", 170_052_171, "c32a1d4ab5d03f1284b67883e8d87530")
PICKLES = ("cifar-10-batches-py", "cifar-10-python.tar.gz")
BATCHES = {"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)}
STRIPS = {"train": tuple(f"cifar10_batch_{i}.png" for i in range(4)), "test": ("cifar10_batch_50.png",)}
STRIP_LABELS = {"train": slice(0, 4000), "test": slice(4000, 5000)}
EXTRACT = "this is the 5,000-image extract (4,000 train, 1,000 test), not the whole set"


def _find_cifar(folder: Path, chosen: CanonicalSet, parts: tuple[str, ...]) -> Reader | None:
    batches = [name for part in parts for name in BATCHES[part]]
    for place in (folder, folder / "cifar-10-batches-bin"):
        if all((place / name).is_file() for name in batches):
            return Reader(place, partial(_read_batches, place, parts))
    archive = folder / ARCHIVE.name
    if archive.is_file():
        return Reader(folder, partial(_read_archive, archive, parts))
    strips = [name for part in parts for name in STRIPS[part]]
    for place in (folder, folder / "cifar10-5k"):
        if all((place / name).is_file() for name in [*strips, "labels.txt"]):
            return Reader(place, partial(_read_strips, place, parts), EXTRACT)
    return None


def _read_batches(folder: Path, parts: tuple[str, ...]) -> list[Part]:
    return [_rows([(folder / name, _read_whole(folder / name)) for name in BATCHES[part]]) for part in parts]


def _read_whole(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST:
            raise _damaged(path, "is too large for a CIFAR-10 batch")
        return path.read_bytes()
    except OSError as fault:
        raise SteadyganError(f"cannot read {path} ({reason(fault)})", "check its permissions") from fault


def _read_archive(archive: Path, parts: tuple[str, ...]) -> list[Part]:
    """The batches straight out of the archive: nothing is unpacked to disk, so names in it cannot do harm."""
    wanted = {name for part in parts for name in BATCHES[part]}
    bodies: dict[str, bytes] = {}
    try:
        with tarfile.open(archive, "r:gz") as stream:
            for member in stream:
                name = Path(member.name).name
                if name in wanted and member.isfile() and member.size <= LARGEST:
                    body = stream.extractfile(member)
                    bodies[name] = body.read() if body else b""
    except (tarfile.TarError, EOFError, zlib.error, OSError) as fault:
        raise _damaged(archive, f"is truncated or damaged ({fault})") from fault
    if missing := wanted - bodies.keys():
        raise _damaged(archive, f"lacks {', '.join(sorted(missing))}")
    return [_rows([(archive / name, bodies[name]) for name in BATCHES[part]]) for part in parts]


def _rows(batches: list[tuple[Path, bytes]]) -> Part:
    for path, body in batches:
        if not body or len(body) % ROW:
            raise _damaged(path, f"is truncated or damaged: {len(body)} bytes are not rows of {ROW}")
    rows = np.frombuffer(b"".join(body for _, body in batches), np.uint8).reshape(-1, ROW)
    return rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0].astype(np.int64)


def _read_strips(folder: Path, parts: tuple[str, ...]) -> list[Part]:
    listing = folder / "labels.txt"
    try:
        labels = np.array([int(line) for line in _read_whole(listing).split()], np.int64)
    except (ValueError, OverflowError) as fault:
        raise _damaged(listing, f"holds something else than class numbers ({fault})") from fault
    if len(labels) != 5000 or labels.min() < 0:
        raise _damaged(
            listing, f"has {len(labels)} lines and not the 5,000 classes of 4,000 train and 1,000 test images"
        )
    return [
        (np.concatenate([_read_strip(folder / name) for name in STRIPS[part]]), labels[STRIP_LABELS[part]])
        for part in parts
    ]


def _read_strip(path: Path) -> Images:
    """1,000 images of 32x32 RGB, stored row by row in one lossless picture; as (1000, 3, 32, 32)."""
    try:
        with Image.open(path) as picture:
            pixels = np.asarray(picture)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as fault:
        raise _damaged(path, f"is truncated or damaged ({fault})") from fault
    if pixels.dtype != np.uint8 or pixels.size != 1000 * 32 * 32 * 3:
        raise _damaged(path, "is not a strip of 1,000 RGB images of 32x32")
    return pixels.reshape(1000, 32, 32, 3).transpose(0, 3, 1, 2).copy()


def _idx_parts(sums: dict[str, tuple[int, str, str]]) -> dict[str, tuple[File, ...]]:
    """The four IDX files of an MNIST-like set, from size, md5 and md5 of the content by short name."""
    files = {key: File(f"{key}-ubyte.gz", *rest) for key, rest in sums.items()}
    return {
        part: (files[f"{stem}-images-idx3"], files[f"{stem}-labels-idx1"])
        for part, stem in (("train", "train"), ("test", "t10k"))
    }


CANONICAL: dict[str, CanonicalSet] = {
    "mnist": CanonicalSet(
        title="MNIST",
        label_names=tuple("0123456789"),
        licence="usually cited as CC BY-SA 3.0",
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        parts=_idx_parts(
            {
                "train-images-idx3": (9912422, "f68b3c2dcbeaaa9fbdd348bbdeb94873", "6bbc9ace898e44ae57da46a324031adb"),
                "train-labels-idx1": (28881, "d53e105ee54ea40749a09fcbcd1e9432", "a25bea736e30d166cdddb491f175f624"),
                "t10k-images-idx3": (1648877, "9fb629c4189551a2d022fa330f9573f3", "2646ac647ad5339dbf082846283269ea"),
                "t10k-labels-idx1": (4542, "ec29112dd5afa0611ce80d1b7f02629c", "27ae3e4e09519cfbb04c329615203637"),
            }
        ),
        find=_find_idx,
    ),
    "fashion-mnist": CanonicalSet(
        title="Fashion-MNIST",
        label_names=(
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
        licence="MIT",
        mirrors=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        ),
        parts=_idx_parts(
            {
                "train-images-idx3": (26421880, "8d4fb7e6c68d591d4c3dfef9ec88bf0d", "f4a8712d7a061bf5bd6d2ca38dc4d50a"),
                "train-labels-idx1": (29515, "25c81989df183df01b3e8a0aad5dffbe", "9018921c3c673c538a1fc5bad174d6f9"),
                "t10k-images-idx3": (4422102, "bef4ecab320f06d8554ea6380940ec79", "8181f5470baa50b63fa0f6fddb340f0a"),
                "t10k-labels-idx1": (5148, "bb300cfdad3c16e7a12a480ee83cd310", "15d484375f8d13e6eb1aabb0c3f46965"),
            }
        ),
        find=_find_idx,
    ),
    "cifar10": CanonicalSet(
        title="CIFAR-10",
        label_names=(
            *("airplane", "automobile", "bird", "cat", "deer"),
            *("dog", "frog", "horse", "ship", "truck"),
        ),
        licence="none stated; cite Learning Multiple Layers of Features from Tiny Images (Krizhevsky 2009)",
        mirrors=("https://www.cs.toronto.edu/~kriz/",),
        parts={"train": (ARCHIVE,), "test": (ARCHIVE,)},
        find=_find_cifar,
    ),
}
"""Every built-in set that comes as canonical files."""
