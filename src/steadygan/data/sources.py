"""Opens real images by name, path or ``module:function``, as one cached, split set."""

from __future__ import annotations

import hashlib
import importlib
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from steadygan.config import DataConfig
from steadygan.data import arrays, files, shapes
from steadygan.data.arrays import Arrays
from steadygan.data.blocks import read_block
from steadygan.data.cache import Block, Job, Progress, Stored, View, build, default_folder, key_of, load, mapped
from steadygan.data.dataset import DataSet
from steadygan.data.decode import EXTENSIONS, Target, quiet
from steadygan.data.digits import load_digits
from steadygan.data.domains import check_domains, show_in
from steadygan.data.shards import refuse_lost, shards
from steadygan.data.shelf import names_shards
from steadygan.data.split import duplicates, split
from steadygan.errors import SteadyganError, unknown

Loader = Callable[[DataConfig, Path, Progress | None], Arrays]


@dataclass(frozen=True)
class Source:
    """A set before it is decoded: the key of its cache, and how to decode it if that cache is not there."""

    key: str
    prepare: Callable[[], Job]
    close: Callable[[], None] = lambda: None
    view: View = mapped


def _digits(config: DataConfig, folder: Path, progress: Progress | None) -> Arrays:
    images, labels, names, facts = load_digits()
    return Arrays(images, labels, names, facts)


def _canonical(name: str) -> Loader:
    def load(config: DataConfig, folder: Path, progress: Progress | None) -> Arrays:
        from steadygan.data.canonical import load_canonical

        images, labels, names, facts = load_canonical(name, config, cache=folder, progress=progress)
        return Arrays(images, labels, tuple(names), facts)

    return load


SOURCES: dict[str, Loader] = {
    "digits": _digits,
    "mnist": _canonical("mnist"),
    "fashion-mnist": _canonical("fashion-mnist"),
    "cifar10": _canonical("cifar10"),
}
"""Built-in sets by name."""


def open_data(
    config: DataConfig, *, cache: Path | None = None, progress: Progress | None = None, workers: int | None = None
) -> DataSet:
    """Open the real images that ``config.source`` names, decoding them into the cache the first time.

    Args:
        config: source, size, channels and split.
        cache: folder of all caches; None: ``$STEADYGAN_CACHE``, then ``~/.cache/steadygan``.
        progress: called with the stage in words, the images done and the images in all.
        workers: decoding processes; None: one a core where that pays.

    Returns:
        The set, its rows mapped from the cache; the same config and content give the same set bit for bit.

    Raises:
        SteadyganError: the source is unknown, missing, empty or unreadable, too many images are bad, or the cache
            cannot be written.
    """
    check_domains(config.domains)
    root = cache if cache is not None else default_folder()
    source = _resolve(config, root, progress, workers)
    try:
        folder = root / source.key
        stored = load(folder, source.view)
        if stored is None:
            with quiet():
                stored = build(folder, source.prepare(), progress=progress, workers=workers, view=source.view)
    finally:
        source.close()
    _check_bad(config, stored)
    if config.domains:
        stored = show_in(stored, config.domains, root, progress=progress)
    return _divide(config, stored)


def _resolve(config: DataConfig, root: Path, progress: Progress | None, workers: int | None) -> Source:
    name = config.source
    if name in SOURCES:
        return _from_arrays(config, f"the set {name!r}", SOURCES[name](config, root, progress))
    if not name.strip():
        raise SteadyganError("the data source is empty", f"give a path or one of {', '.join(sorted(SOURCES))}")
    path = Path(name).expanduser()
    try:
        if names_shards(name):
            found = shards(config, progress, workers)
            return Source(found.key, found.prepare, view=found.view)
        if path.is_dir():
            return _from_files(config, files.list_folder(path))
        exists = path.exists()
    except OSError as fault:
        raise SteadyganError(f"cannot read {path}: {fault.strerror}", "check its permissions") from fault
    if exists:
        return _from_file(config, path)
    if re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", name):
        return _from_arrays(config, f"the set {name!r}", _call(name, config))
    if any(mark in name for mark in "/\\~") or path.suffix:
        raise SteadyganError(f"data source {name!r} does not exist", "check the path")
    error = unknown("data source", name, SOURCES)
    raise SteadyganError(f"{error.what}: no file or folder is called so", error.remedy)


def _from_file(config: DataConfig, path: Path) -> Source:
    suffix = path.suffix.lower()
    if suffix == ".zip":
        return _from_files(config, files.list_zip(path))
    if suffix in (".npy", ".npz"):
        status = path.stat()
        stamp = (str(path.resolve()), status.st_size, status.st_mtime_ns)
        key = key_of("array", stamp, config.image_size, config.channels, config.fit)
        return Source(key, lambda: _array_job(config, str(path), arrays.read_array(path)))
    what = "a single image" if suffix in EXTENSIONS else "a file, not images"
    raise SteadyganError(f"data source {str(path)!r} is {what}", "give a folder, a .zip, a .npy or a .npz")


def _call(name: str, config: DataConfig) -> Arrays:
    """Arrays from outside the package: ``function(config)`` returns images, or (images, labels[, label names])."""
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as fault:
        raise SteadyganError(f"cannot import the data source {name!r}: {fault}", "check module and function") from fault
    made = found(config)
    images, *rest = made if isinstance(made, tuple) else (made,)
    if not isinstance(images, np.ndarray) or len(rest) > 2:
        raise SteadyganError(
            f"data source {name!r} returned {type(made).__name__}", "return images, or (images, labels, label names)"
        )
    return Arrays(images, rest[0] if rest else None, tuple(rest[1]) if len(rest) > 1 else ())


def _from_arrays(config: DataConfig, what: str, made: Arrays) -> Source:
    content = hashlib.blake2b(repr((made.images.shape, made.images.dtype.str)).encode(), digest_size=16)
    step = arrays.block_length(made.images) if made.images.size and made.images.ndim else 1
    for start in range(0, len(made.images) if made.images.ndim else 0, step):
        content.update(np.ascontiguousarray(made.images[start : start + step]).data)
    if made.labels is not None:
        content.update(np.ascontiguousarray(made.labels).tobytes())
    names = (made.label_names, sorted(made.facts.items()))
    key = key_of("memory", content.hexdigest(), names, config.image_size, config.channels, config.fit)
    return Source(key, lambda: _array_job(config, what, made))


def _array_job(config: DataConfig, what: str, made: Arrays) -> Job:
    layout = arrays.check(what, made.images, config.channels)
    labels, names = arrays.check_labels(what, made)
    channels = config.channels or layout.channels
    if channels != layout.channels and (layout.channels, channels) not in ((1, 3), (3, 1)):
        raise SteadyganError(
            f"{what} has {layout.channels} channels and data.channels asks for {channels}",
            f"leave data.channels out or set it to {layout.channels}",
        )
    size, chosen = shapes.choose_size(config, Counter({(layout.height, layout.width): len(made.images)}))
    target = Target(size, channels, config.fit)
    facts = {**made.facts, "layout": layout.words, "size": chosen}
    facts["channels"] = f"{channels}" if channels == layout.channels else f"{channels} (from {layout.channels})"
    read = arrays.block_reader(made.images, layout, target)
    return Job(what, len(made.images), (channels, *size), read, labels, names, facts)


def _from_files(config: DataConfig, listing: files.Listing) -> Source:
    key = key_of(listing.kind, listing.stamp, config.image_size, config.channels, config.fit)
    return Source(key, lambda: _file_job(config, listing), listing.close)


def _file_job(config: DataConfig, listing: files.Listing) -> Job:
    what = f"the {listing.kind} {listing.root}"
    target, facts = shapes.survey(
        config, what, len(listing.names), listing.names.__getitem__, lambda number: listing.open(listing.names[number])
    )
    labels, names = files.folder_labels(listing.names)
    facts = {"kind": listing.kind, **facts, "labels": "sub-folders" if names else "none"}
    if listing.ignored:
        facts["files_ignored"] = listing.ignored
    read = partial(_read_block, listing, target)
    shape = (target.channels, *target.size)
    return Job(what, len(listing.names), shape, read, labels, names, facts, listing.refused)


def _read_block(listing: files.Listing, target: Target, start: int, stop: int) -> Block:
    names = listing.names
    return read_block(names.__getitem__, lambda number: listing.read(names[number]), target, start, stop)


def _check_bad(config: DataConfig, stored: Stored) -> None:
    bad = stored.quarantine
    total = len(stored.images) + len(bad)
    first = "; ".join(f"{path}: {reason}" for path, reason in bad[:3])
    refuse_lost(config, stored.facts.get("shards_lost", 0), stored.facts.get("shards", 1), first)
    if len(bad) > config.max_bad * total:
        raise SteadyganError(
            f"{len(bad)} of {total} images in {config.source} cannot be read ({first})",
            f"mend or remove them, or raise data.max_bad above {len(bad) / total:.3f} (now {config.max_bad:g})",
        )


def _divide(config: DataConfig, stored: Stored) -> DataSet:
    train, held_out = split(stored.hashes, config.held_out)
    facts: dict[str, Any] = {
        "source": config.source,
        "images": len(stored.images),
        "size (width x height)": f"{stored.images.shape[3]}x{stored.images.shape[2]}",
        **stored.facts,
        "classes": len(stored.label_names),
        "train": len(train),
        "held_out": len(held_out),
        "duplicates": duplicates(stored.hashes),
        "quarantined": len(stored.quarantine),
    }
    if config.held_out > 0 and not len(held_out):
        facts["held_out_note"] = f"too few distinct images for a share of {config.held_out:g} to hold any out"
    identity = repr((stored.content, config.held_out))
    return DataSet(
        name=config.source,
        images=stored.images,
        labels=stored.labels,
        label_names=stored.label_names,
        train=train,
        held_out=held_out,
        fingerprint=hashlib.blake2b(identity.encode(), digest_size=16).hexdigest(),
        facts=facts,
        quarantine=stored.quarantine,
        hashes=stored.hashes,
    )
