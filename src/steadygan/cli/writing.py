"""Samples into files: a grid, a folder of pictures, or one array; whole or absent, and of any count."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from steadygan import api
from steadygan.errors import SteadyganError
from steadygan.report import pictures
from steadygan.runtime import storage

Writer = Callable[[Path, Iterator[Tensor], int, api.Trained], None]

GRID_LIMIT = 4096
"""Images in one picture: more cannot be told apart, and would not fit into memory at once."""

BLOCK = 4096
"""Bytes that even the smallest file takes on most disks."""

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Channels that a picture file can have."""


def default_path(trained: api.Trained, form: str, count: int, seed: int, wish: str = "") -> Path:
    """A name inside the run that says all that decides the content, so that equal names have equal content."""
    stem = f"{count}-seed{seed}{wish}-at{trained.images_seen}"
    return trained.path / "generated" / f"{stem}{ENDINGS[form]}"


def _grid(path: Path, chunks: Iterator[Tensor], count: int, trained: api.Trained) -> None:
    if count > GRID_LIMIT:
        raise SteadyganError(f"a grid of {count:,} images is too large to look at", "use --folder or --npz")
    storage.make_folder(path.parent)
    with storage.writing(path):
        pictures.save_png(path, pictures.grid(torch.cat(list(chunks))))


def beside(path: Path, images: Tensor, made: Tensor) -> None:
    """One picture with each image (N, C, H, W) and, to the right of it, what was made of it."""
    count, channels, height, width = images.shape
    if 2 * count > GRID_LIMIT:
        raise SteadyganError(f"a grid of {2 * count:,} images is too large to look at", "use --folder or --npz")
    pairs = torch.stack([images, made], 1).view(2 * count, channels, height, width)
    columns = 2 * max(1, round((count * height / width / 2) ** 0.5))
    storage.make_folder(path.parent)
    with storage.writing(path):
        pictures.save_png(path, pictures.grid(pairs, columns=columns))


def _folder(path: Path, chunks: Iterator[Tensor], count: int, trained: api.Trained) -> None:
    if (channels := (trained.config.shape or (0, 0, 0))[0]) not in MODES:
        raise SteadyganError(f"no picture file has {channels} channels", "use --npz")
    storage.require_space(path, max(BLOCK * count, _bytes(count, trained)), f"a folder of {count:,} images")
    storage.make_folder(path)
    digits = max(6, len(str(count - 1)))
    index = 0
    with storage.writing(path):
        for images in chunks:
            for image in images:
                _picture(image).save(path / f"{index:0{digits}d}.png", "PNG")
                index += 1


def _npz(path: Path, chunks: Iterator[Tensor], count: int, trained: api.Trained) -> None:
    """Written chunk by chunk, so that the array need not fit into memory."""
    storage.require_space(path.parent, _bytes(count, trained), f"an array of {count:,} images")
    storage.make_folder(path.parent)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with storage.writing(path), zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            with archive.open("images.npy", "w", force_zip64=True) as file:
                channels, height, width = trained.config.shape or (0, 0, 0)
                shape = (count, height, width, channels)
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_2_0(file, header)
                for images in chunks:
                    file.write(pictures.to_uint8(images).permute(0, 2, 3, 1).contiguous().numpy().tobytes())
            with archive.open("images_seen.npy", "w") as file:
                np.lib.format.write_array(file, np.array(trained.images_seen))
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _picture(image: Tensor) -> Image.Image:
    """One image (C, H, W) as it would stand in a set of files."""
    values = pictures.to_uint8(image).permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(values[..., 0] if len(image) == 1 else values, MODES[len(image)])


def _bytes(count: int, trained: api.Trained) -> int:
    channels, height, width = trained.config.shape or (0, 0, 0)
    return count * channels * height * width


WRITERS: dict[str, Writer] = {"grid": _grid, "folder": _folder, "npz": _npz}
ENDINGS = {"grid": ".png", "folder": "", "npz": ".npz"}
