"""Images that are given to a trained run: one or many, brought to its shape in the way that its own data were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from steadygan.config import DataConfig
from steadygan.data.cache import Progress as Progress
from steadygan.data.decode import EXTENSIONS, MODES, Target, Unreadable, decode, quiet
from steadygan.data.files import Listing, list_folder, list_zip
from steadygan.data.sources import open_data
from steadygan.errors import SteadyganError


def read_images(
    source: str, config: DataConfig, shape: tuple[int, int, int], count: int, *, progress: Progress | None = None
) -> npt.NDArray[np.uint8]:
    """The first ``count`` images of a source that can be read, or fewer where it has fewer, (N, C, H, W) uint8.

    Args:
        source: an image, or all that data may be: a folder, a zip, an array, the name of a set.
        config: how the run's own data were brought to their shape.
        shape: channels, height and width of the run's images.
        count: how many at most.
        progress: told what takes long.

    Raises:
        SteadyganError: there is no such source, or it holds no image that can be read.
    """
    if count < 1:
        raise SteadyganError(f"cannot take {count} images", "ask for at least 1")
    path = Path(source).expanduser()
    channels, height, width = shape
    folder, zipped, image = path.is_dir(), path.suffix.lower() == ".zip", path.suffix.lower() in EXTENSIONS
    if folder or (path.is_file() and (zipped or image)):
        if channels not in MODES:
            raise SteadyganError(f"no picture file has {channels} channels, as this run's images", "give .npy or .npz")
        target = Target((height, width), channels, config.fit)
        if image and not folder:
            return _one(path, target)[None]
        return _first(list_folder(path) if folder else list_zip(path), target, count)
    update = {"source": source, "image_size": (height, width), "channels": channels, "held_out": 0.0, "domains": ()}
    data = open_data(config.model_copy(update=update), progress=progress)
    return np.ascontiguousarray(data.images[:count])


def _one(path: Path, target: Target) -> npt.NDArray[np.uint8]:
    try:
        with quiet():
            return decode(path.read_bytes(), target)[0]
    except OSError as fault:
        raise SteadyganError(f"cannot read {path}: {fault.strerror}", "check its permissions") from fault
    except Unreadable as fault:
        raise SteadyganError(f"{path} cannot be read ({fault})", "check that it opens in a viewer") from fault


def _first(listing: Listing, target: Target, count: int) -> npt.NDArray[np.uint8]:
    """The first images of a listing that can be read; no more of them are opened than are wanted."""
    rows: list[npt.NDArray[np.uint8]] = []
    reason = ""
    try:
        for name in listing.names:
            try:
                with quiet():
                    rows.append(decode(listing.read(name), target)[0])
            except Unreadable as fault:
                reason = reason or f"{name}: {fault}"
            if len(rows) == count:
                break
    finally:
        listing.close()
    if not rows:
        what = f"none of the {len(listing.names)} images in {listing.root} can be read ({reason})"
        raise SteadyganError(what, "check that they open in a viewer")
    return np.stack(rows)
