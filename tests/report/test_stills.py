"""Pictures in a page: chosen evenly, readable again, and never too large."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from steadygan.report.stills import BUDGET, MOST, STILL, frames, still


def opened(address: str) -> Image.Image:
    head, _, body = address.partition(",")
    assert head.startswith("data:image/") and head.endswith(";base64")
    return Image.open(io.BytesIO(base64.b64decode(body)))


def grids(folder: Path, count: int, side: int = 32, noise: bool = False) -> list[Path]:
    paths = []
    for number in range(count):
        path = folder / f"{number * 10:012d}.png"
        pixels = np.full((side, side, 3), number % 256, np.uint8)
        if noise:
            pixels = np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        paths.append(path)
    return paths


def test_all_frames_of_few_and_an_even_choice_of_many(tmp_path: Path) -> None:
    paths = grids(tmp_path, 100)
    assert [one.images_seen for one in frames(paths[:7])] == [0, 10, 20, 30, 40, 50, 60]
    seen = [one.images_seen for one in frames(paths)]
    assert len(seen) == MOST and seen[0] == 0 and seen[-1] == 990
    assert set(np.diff(seen)) <= {20, 30}


def test_frames_show_what_the_grids_show(tmp_path: Path) -> None:
    for one, value in zip(frames(grids(tmp_path, 3)), (0, 1, 2), strict=True):
        picture = np.asarray(opened(one.address).convert("RGB")).astype(int)
        assert picture.shape == (32, 32, 3) == (*one.size, 3) and np.abs(picture - value).max() <= 2


@pytest.mark.slow
def test_frames_of_pure_noise_still_fit(tmp_path: Path) -> None:
    found = frames(grids(tmp_path, MOST, side=640, noise=True))
    assert len(found) == MOST
    assert sum(len(one.address) for one in found) <= BUDGET * 1.4


def test_no_frames_of_nothing_and_none_of_what_is_broken(tmp_path: Path) -> None:
    assert frames([]) == []
    paths = grids(tmp_path, 3)
    paths[1].write_bytes(b"no picture")
    assert [one.images_seen for one in frames(paths)] == [0, 20]
    assert still(paths[1]) is None and still(tmp_path / "missing.png") is None


def test_a_small_picture_stays_as_it_is(tmp_path: Path) -> None:
    (path,) = grids(tmp_path, 1)
    found = still(path)
    assert found is not None
    assert base64.b64decode(found.address.partition(",")[2]) == path.read_bytes() and found.size == (32, 32)


def test_a_large_picture_is_packed(tmp_path: Path) -> None:
    (path,) = grids(tmp_path, 1, side=1600, noise=True)
    found = still(path)
    assert found is not None
    assert len(found.address) <= STILL * 1.4
    assert opened(found.address).format == "WEBP" and opened(found.address).size == found.size


def test_a_picture_too_large_to_be_meant_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = grids(tmp_path, 1)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert still(path) is None and frames([path]) == []
