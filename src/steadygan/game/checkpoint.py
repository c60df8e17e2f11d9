"""Checkpoints: whole or absent, checked when read, and never a pickle.

A checkpoint is a folder ``<images_seen>-<attempt>`` with ``weights.safetensors`` (players and averages),
``state.safetensors`` (all other tensors), ``state.json`` (all else) and ``manifest.json`` (length and SHA-256 of each).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from steadygan.errors import SteadyganError
from steadygan.runtime import storage

FORMAT = 1
WEIGHTS = ("state/players/", "state/averages/")
"""Where the networks' weights stand in the tree of a run."""


class BrokenCheckpoint(Exception):
    """A checkpoint that cannot be used; says why."""


class NotFinite(SteadyganError):
    """A tensor that is to be saved holds a NaN or an infinity."""


def flatten(tree: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """``tree`` as JSON, with every tensor moved into ``tensors`` under its path."""
    if isinstance(tree, Tensor):
        tensors[path] = tree
        # safetensors forgets the order in memory, and fused optimizers and sums go by it
        plain = tree.is_contiguous() or 0 in tree.stride()
        return {"$tensor": path} if plain else {"$tensor": path, "strides": list(tree.stride())}
    if isinstance(tree, dict):
        items = [[key, flatten(value, f"{path}/{key}" if path else str(key), tensors)] for key, value in tree.items()]
        if all(isinstance(key, str) and not key.startswith("$") for key in tree):
            return dict(items)
        return {"$items": items}
    if isinstance(tree, (list, tuple)):
        return [flatten(value, f"{path}/{index}", tensors) for index, value in enumerate(tree)]
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    raise TypeError(f"{path} holds a {type(tree).__name__}, which a checkpoint cannot keep")


def unflatten(plain: Any, tensors: dict[str, Tensor]) -> Any:
    """The tree that ``flatten`` took apart."""
    if isinstance(plain, dict):
        if "$tensor" in plain:
            found = tensors[plain["$tensor"]]
            return _laid_out(found, plain["strides"]) if "strides" in plain else found
        if "$items" in plain:
            return {key: unflatten(value, tensors) for key, value in plain["$items"]}
        return {key: unflatten(value, tensors) for key, value in plain.items()}
    if isinstance(plain, list):
        return [unflatten(value, tensors) for value in plain]
    return plain


def _laid_out(tensor: Tensor, strides: list[int]) -> Tensor:
    """The same values in the order in memory that they had when they were saved."""
    return torch.empty_strided(tensor.shape, strides, dtype=tensor.dtype).copy_(tensor)


def copied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU, so that training goes on while they are written."""
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}


def not_finite(tensors: dict[str, Tensor]) -> str | None:
    """Path of the first tensor that holds a NaN or an infinity, None where there is none."""
    found = (name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all()))
    return next(found, None)


def folder_name(images_seen: int, attempt: int) -> str:
    """Name of the checkpoint that stands at this place of the clock."""
    return f"{images_seen:012d}-{attempt:03d}"


def write(folder: Path, plain: Any, tensors: dict[str, Tensor]) -> None:
    """Write a checkpoint next to ``folder`` under a temporary name, flush it, then rename: whole or absent."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        weights = {k: v for k, v in tensors.items() if k.startswith(WEIGHTS)}
        rest = {k: v for k, v in tensors.items() if k not in weights}
        contents = {
            "weights.safetensors": safetensors.torch.save(weights),
            "state.safetensors": safetensors.torch.save(rest),
            "state.json": json.dumps(plain).encode(),
        }
        manifest: dict[str, Any] = {"format": FORMAT, "files": {}}
        for name, content in contents.items():
            storage.write_file(partial / name, content)
            manifest["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        storage.write_file(partial / "manifest.json", json.dumps(manifest, indent=1))
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
        storage.sync_folder(folder.parent)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def read(folder: Path, *, weights_only: bool = False) -> Any:
    """The tree of one checkpoint, every byte checked against its manifest.

    With ``weights_only`` the tensors of ``weights.safetensors`` by path, which is all that sampling needs.

    Raises:
        BrokenCheckpoint: where a file is missing, truncated, changed, foreign or of a later format.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        if manifest["format"] > FORMAT:
            raise BrokenCheckpoint(f"written by a later version (format {manifest['format']})")
        tensors: dict[str, Tensor] = safetensors.torch.load(_verified(folder, "weights.safetensors", manifest))
        if weights_only:
            return tensors
        tensors |= safetensors.torch.load(_verified(folder, "state.safetensors", manifest))
        return unflatten(json.loads(_verified(folder, "state.json", manifest)), tensors)
    except BrokenCheckpoint:
        raise
    except Exception as error:  # whatever a damaged or hostile file provokes means the same: not usable
        raise BrokenCheckpoint(f"{type(error).__name__}: {error}") from None


def facts(folder: Path) -> dict[str, Any]:
    """What ``state.json`` of a checkpoint says at its top, tensors left out."""
    found: dict[str, Any] = json.loads((folder / "state.json").read_text())
    return found


def _verified(folder: Path, name: str, manifest: dict[str, Any]) -> bytes:
    """A file's bytes, which must be those that were written."""
    content, facts = (folder / name).read_bytes(), manifest["files"][name]
    if len(content) != facts["bytes"] or hashlib.sha256(content).hexdigest() != facts["sha256"]:
        raise BrokenCheckpoint(f"{name} is truncated or changed")
    return content


def place(path: Path) -> tuple[int, int]:
    """Where on the clock a checkpoint stands, by its name: attempt, then images seen; (-1, -1) for any other name."""
    images, _, attempt = path.name.partition("-")
    return (int(attempt), int(images)) if images.isdecimal() and attempt.isdecimal() else (-1, -1)


def listed(folder: Path) -> list[Path]:
    """Checkpoints in a folder, the newest first (a later attempt is newer than an earlier one)."""
    found = [path for path in folder.glob("*-*") if path.is_dir()] if folder.is_dir() else []
    return sorted((path for path in found if place(path) >= (0, 0)), key=place, reverse=True)


def sweep(folder: Path) -> None:
    """Remove what a kill in mid-checkpoint has left behind."""
    for path in folder.glob(".*.partial"):
        shutil.rmtree(path, ignore_errors=True)


def newest(folder: Path, *, weights_only: bool = False) -> Iterator[tuple[Path, Any | BrokenCheckpoint]]:
    """Checkpoints from the newest on, each with its content or with the reason why it is broken."""
    for path in listed(folder):
        try:
            yield path, read(path, weights_only=weights_only)
        except BrokenCheckpoint as broken:
            yield path, broken


class Keeper:
    """Writes checkpoints in the background and keeps the newest ``keep`` of them, and every milestone for ever.

    A write that fails leaves the earlier checkpoints as they were; ``wait`` tells of it.
    """

    def __init__(self, folder: Path, keep: int = 3) -> None:
        self.folder, self.keep = folder, keep
        self._failure: Exception | None = None
        self._thread: threading.Thread | None = None

    def save(self, tree: Any, images_seen: int, attempt: int, *, milestone: bool = False) -> None:
        """Copy the tree now, write it behind the run's back; a milestone is never pruned.

        Raises:
            NotFinite: where a tensor is not finite; nothing is written then.
        """
        tensors: dict[str, Tensor] = {}
        plain = flatten(tree, "", tensors)
        tensors = copied(tensors)
        broken = not_finite(tensors)
        if broken:
            raise NotFinite(
                f"{broken.removeprefix('state/')} became NaN or infinite before {images_seen:,} images",
                "the last good checkpoint is kept; start again with lower learning rates or a stronger penalty",
                code=1,
            )
        if self._thread is not None:
            self._thread.join()
        if milestone:
            plain["milestone"] = True
        target = self.folder / folder_name(images_seen, attempt)
        self._thread = threading.Thread(target=self._write, args=(target, plain, tensors))
        self._thread.start()

    def _write(self, target: Path, plain: Any, tensors: dict[str, Tensor]) -> None:
        try:
            write(target, plain, tensors)
            self._prune(target)
        except Exception as error:  # in a thread, where it would be lost
            self._failure = error

    def wait(self) -> Exception | None:
        """Until the last write has ended; returns what went wrong with it, once."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        failure, self._failure = self._failure, None
        return failure

    def _prune(self, target: Path) -> None:
        """Those beyond ``keep``, counted from ``target``: what is newer was found broken and protects nothing."""
        for path in [path for path in listed(self.folder) if place(path) <= place(target)][self.keep :]:
            try:
                if json.loads((path / "state.json").read_text()).get("milestone"):
                    continue
            except (OSError, ValueError, UnicodeDecodeError):
                pass
            shutil.rmtree(path, ignore_errors=True)
