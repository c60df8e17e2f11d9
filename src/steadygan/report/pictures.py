"""Pictures for people: sample grids, their animation, and scatter plots of two-dimensional samples."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from steadygan.errors import SteadyganError
from steadygan.runtime.storage import reason, write_file

READABLE = 64
"""Pixels that the longer side of a tile gets at least, where ``scale`` is chosen."""
BACKGROUND = 128
"""Grey between tiles, which neither dark nor light images melt into."""
HOLD = 1500
"""Milliseconds that an animation rests on its last frame."""
ORANGE, BLUE = (213, 94, 0), (0, 114, 178)
FORMATS = {".webp": "WEBP", ".gif": "GIF"}


def to_uint8(images: Tensor) -> Tensor:
    """Images as bytes: ``round((x + 1) * 127.5)``, clamped to 0..255; NaN becomes 0. Bytes stay as they are.

    This is the only place where samples are rounded, so that every picture and export agrees.

    Args:
        images: any shape, floats in [-1, 1] or uint8.
    """
    if images.dtype == torch.uint8:
        return images
    wide = images.detach().to(torch.float64 if images.dtype == torch.float64 else torch.float32)
    return ((wide + 1) * 127.5).nan_to_num(nan=0.0).clamp(0, 255).round().to(torch.uint8)


def grid(images: Tensor, columns: int | None = None, scale: int | None = None) -> Image.Image:
    """All images side by side as one picture, in reading order.

    One channel is shown grey and three as RGB; of more than three the first three are shown as RGB; two channels
    are shown as two grey tiles side by side.

    Args:
        images: (N, C, H, W), floats in [-1, 1] or uint8.
        columns: tiles a row; None: as many as make the picture about square.
        scale: each pixel becomes ``scale * scale`` pixels; None: as many as make a tile readable.

    Raises:
        SteadyganError: no images, or not four dimensions.
    """
    if images.ndim != 4 or 0 in images.shape:
        raise SteadyganError(
            f"cannot show images of shape {tuple(images.shape)}", "give (count, channels, height, width)"
        )
    tiles = _tiles(to_uint8(images).cpu().numpy())
    count, height, width = tiles.shape[:3]
    scale = scale or max(1, math.ceil(READABLE / max(height, width)))
    tiles = tiles.repeat(scale, axis=1).repeat(scale, axis=2)
    height, width = height * scale, width * scale
    columns = min(count, columns or max(1, round(math.sqrt(count * height / width))))
    rows, gap = math.ceil(count / columns), max(2, scale // 4)
    canvas = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, tiles.shape[3]), BACKGROUND, np.uint8)
    for number, tile in enumerate(tiles):
        top, left = (
            gap + at * side for at, side in zip(divmod(number, columns), (height + gap, width + gap), strict=True)
        )
        canvas[top : top + height, left : left + width] = tile
    return Image.fromarray(canvas[:, :, 0] if canvas.shape[2] == 1 else canvas)


def _tiles(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(N, C, H, W) to (N, H, W', 1 or 3), as ``grid`` describes."""
    channels = images.shape[1]
    if channels == 2:
        return np.concatenate([images[:, 0], images[:, 1]], axis=2)[..., None]
    return images[:, : 1 if channels == 1 else 3].transpose(0, 2, 3, 1)


def save_png(path: Path, image: Image.Image) -> None:
    """Write a PNG so that the file is whole or absent; its folder is made if missing."""
    body = io.BytesIO()
    image.save(body, "PNG", optimize=image.width * image.height < 1 << 20)
    _write(path, body.getvalue())


def animate(frames: Sequence[Path] | Path, path: Path, *, fps: float = 8, max_frames: int = 120) -> None:
    """Join pictures into a WebP or GIF animation that rests on its last frame and starts again.

    Args:
        frames: the pictures in order, or a folder whose PNGs are taken in the order of their names.
        path: ends in ``.webp`` or ``.gif``.
        fps: frames a second.
        max_frames: of more frames an even choice with the first and the last is taken (at least 2).

    Raises:
        SteadyganError: no frame, an unreadable one, or another ending.
    """
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise SteadyganError(f"cannot animate into {path.name}", "end the name in .webp or .gif")
    files = sorted(frames.glob("*.png")) if isinstance(frames, Path) else list(frames)
    if not files:
        raise SteadyganError(f"there are no frames for {path.name}", "the run has saved no sample grids yet")
    if len(files) > max_frames:
        files = [files[round(i)] for i in np.linspace(0, len(files) - 1, max(2, max_frames))]
    pictures = [_frame(file) for file in files]
    # A run that went on under other settings may have saved grids of another size.
    pictures = [
        p if p.size == pictures[-1].size else p.resize(pictures[-1].size, Image.Resampling.NEAREST) for p in pictures
    ]
    pause = max(20, round(1000 / fps))
    body = io.BytesIO()
    pictures[0].save(
        body,
        kind,
        save_all=True,
        append_images=pictures[1:],
        duration=[*[pause] * (len(pictures) - 1), HOLD],
        loop=0,
        **({"quality": 85, "method": 4} if kind == "WEBP" else {}),
    )
    _write(path, body.getvalue())


def _frame(file: Path) -> Image.Image:
    try:
        with Image.open(file) as picture:
            return picture.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as fault:
        raise SteadyganError(f"cannot read the frame {file}", "delete it and animate again") from fault


def scatter(points: Tensor, centres: Tensor | None, path: Path, size: int = 640) -> None:
    """Draw two-dimensional samples (blue dots) and the centres of the true modes (orange crosses) as a PNG.

    The frame follows the centres where there are some, so that pictures of one run can be compared.

    Args:
        points: (N, 2).
        centres: (M, 2) or None.
        path: the PNG.
        size: side of the picture in pixels.
    """
    samples = points.detach().to(torch.float64).cpu().numpy().reshape(-1, 2)
    modes = np.zeros((0, 2)) if centres is None else centres.detach().to(torch.float64).cpu().numpy().reshape(-1, 2)
    samples = samples[np.isfinite(samples).all(axis=1)]
    frame = modes if len(modes) else samples if len(samples) else np.zeros((1, 2))
    middle = (frame.min(axis=0) + frame.max(axis=0)) / 2
    reach = max(float((frame.max(axis=0) - frame.min(axis=0)).max()) / 2 * 1.35 or 1.0, 1e-6)
    # Drawn four times as large and reduced, because Pillow draws discs without smooth edges.
    side = size * 4
    picture = Image.new("RGB", (side, side), "white")
    draw = ImageDraw.Draw(picture, "RGBA")
    unit = side / 640

    def place(spots: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(((spots - middle) * [1, -1] / reach + 1) / 2 * side, np.float64)

    for x, y in place(samples):
        if -unit <= x <= side + unit and -unit <= y <= side + unit:
            draw.ellipse((x - 2 * unit, y - 2 * unit, x + 2 * unit, y + 2 * unit), fill=(*BLUE, 110))
    for x, y in place(modes):
        for dx, dy in ((1, 1), (1, -1)):
            arm = 9 * unit
            draw.line(
                (x - dx * arm, y - dy * arm, x + dx * arm, y + dy * arm), fill=(*ORANGE, 255), width=round(2.4 * unit)
            )
    draw.rectangle((0, 0, side - 1, side - 1), outline=(200, 200, 200), width=round(unit * 1.5))
    save_png(path, picture.resize((size, size), Image.Resampling.LANCZOS))


def _write(path: Path, body: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, body)
    except OSError as fault:
        raise SteadyganError(
            f"cannot write {path} ({reason(fault)})", "free some space or choose another place", code=1
        ) from fault
