"""Arrays: which axis is which, how values are scaled, and what is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadygan.config import DataConfig
from steadygan.data import open_data
from steadygan.data.arrays import check, to_bytes
from steadygan.errors import SteadyganError


def noise(*shape: int, dtype: Any = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype(dtype)


def opened(tmp_path: Path, array: np.ndarray, **settings: Any) -> Any:
    np.save(tmp_path / "set.npy", array)
    return open_data(DataConfig(source=str(tmp_path / "set.npy"), **settings), cache=tmp_path / "cache")


def test_the_three_layouts_give_the_same_rows(tmp_path: Path) -> None:
    rows = noise(6, 3, 10, 12)
    first = opened(tmp_path, rows)
    last = opened(tmp_path, rows.transpose(0, 2, 3, 1))
    assert (np.asarray(first.images) == rows).all()
    assert (np.asarray(last.images) == rows).all()
    assert first.fingerprint == last.fingerprint
    assert "read as (N, C, H, W)" in first.facts["layout"]
    assert "read as (N, H, W, C)" in last.facts["layout"]
    grey = opened(tmp_path, rows[:, 0])
    assert grey.shape == (1, 10, 12)
    assert (np.asarray(grey.images)[:, 0] == rows[:, 0]).all()


@given(st.integers(1, 64), st.integers(2, 90), st.integers(2, 90))
def test_the_smallest_axis_is_the_channels_or_nothing_is(channels: int, height: int, width: int) -> None:
    if channels < min(height, width):
        layout = check("x", np.zeros((1, channels, height, width), np.uint8), None)
        assert (layout.axis, layout.channels, layout.height, layout.width) == (1, channels, height, width)
        layout = check("x", np.zeros((1, height, width, channels), np.uint8), None)
        assert (layout.axis, layout.channels, layout.height, layout.width) == (3, channels, height, width)
    elif height <= channels and width <= channels and height <= width:
        with pytest.raises(SteadyganError, match=r"no axis is plainly the channels.*data\.channels"):
            check("x", np.zeros((1, channels, height, width), np.uint8), None)


def test_channels_as_asked_decide_where_the_shape_does_not(tmp_path: Path) -> None:
    data = opened(tmp_path, noise(4, 8, 8, 9), channels=9)
    assert data.shape == (9, 8, 8)


@pytest.mark.parametrize("channels", [2, 5, 64])
def test_many_channels_are_resized_each_for_itself(tmp_path: Path, channels: int) -> None:
    flat = np.broadcast_to(np.arange(channels, dtype=np.uint8)[None, :, None, None], (2, channels, 70, 80))
    data = opened(tmp_path, np.ascontiguousarray(flat), image_size=(16, 24), held_out=0.0)
    assert data.shape == (channels, 16, 24)
    assert (np.asarray(data.images)[0, :, 3, 3] == np.arange(channels)).all()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0, 128, 65535], np.uint16), [0, 0, 255]),
        (np.array([257 * 9], ">u2"), [9]),
        (np.array([257 * 7 + 128, 257 * 7 + 129], np.uint16), [7, 8]),
    ],
)
def test_16_bit_values_are_rounded(values: np.ndarray, expected: list[int]) -> None:
    assert to_bytes(values, 0, 65535).tolist() == expected


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_are_scaled_by_their_range(tmp_path: Path, low: float, high: float, dtype: Any) -> None:
    values = np.linspace(low, high, 256).reshape(4, 8, 8).astype(dtype)
    data = opened(tmp_path, values, held_out=0.0)
    expected = (np.linspace(low, high, 256) - low) / (high - low) * 255
    assert np.abs(np.asarray(data.images).ravel() - expected).max() <= 0.63
    assert f"values {low:g}..{high:g}" in data.facts["layout"]


def test_one_channel_and_three_turn_into_each_other(tmp_path: Path) -> None:
    rows = noise(3, 9, 9)
    colour = opened(tmp_path, rows, channels=3)
    assert (np.asarray(colour.images) == rows[:, None]).all()
    grey = opened(tmp_path, np.asarray(colour.images), channels=1)
    assert (np.asarray(grey.images)[:, 0] == rows).all()
    with pytest.raises(SteadyganError, match=r"has 5 channels and data\.channels asks for 3"):
        opened(tmp_path, noise(2, 5, 9, 9), channels=3)


BAD: dict[str, tuple[np.ndarray, str]] = {
    "two dimensions": (noise(5, 6), r"shape \(5, 6\), 2 dimensions"),
    "five dimensions": (noise(2, 2, 3, 8, 8), "5 dimensions"),
    "empty": (np.zeros((0, 8, 8), np.uint8), "is empty"),
    "no pixels": (np.zeros((3, 0, 8), np.uint8), "is empty"),
    "one pixel": (noise(3, 1, 1), "1x1 pixels, smaller than 2x2"),
    "integers": (noise(3, 8, 8, dtype=np.int64), "type int64"),
    "text": (np.full((3, 8, 8), "a"), "type <U1"),
    "complex": (np.zeros((3, 8, 8), np.complex64), "type complex64"),
    "nan": (np.where(np.arange(192).reshape(3, 8, 8) == 100, np.nan, 0.5), "NaN or infinity, first in image 1"),
    "infinity": (np.where(np.arange(192).reshape(3, 8, 8) == 191, np.inf, 0.5), "infinity, first in image 2"),
    "range": (np.full((3, 8, 8), 7.5), r"floats from 7.5 to 7.5: scale them to \[0, 1\]"),
    "below": (np.full((3, 8, 8), -1.5), "floats from -1.5"),
    "ambiguous": (noise(3, 8, 8, 8), "no axis is plainly the channels"),
    "objects": (np.array([{"a": 1}] * 3, dtype=object), "Python objects .pickle., which are never loaded"),
}


@pytest.mark.parametrize("name", list(BAD))
def test_bad_arrays_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    array, reason = BAD[name]
    with pytest.raises(SteadyganError, match=reason) as caught:
        opened(tmp_path, array)
    assert "\n" not in str(caught.value)
    assert "set.npy" in str(caught.value)
    assert caught.value.remedy


def test_pickles_are_never_executed(tmp_path: Path) -> None:
    import pickle

    trap = tmp_path / "sprung"
    payload = b"cposix\nsystem\n(S'touch " + str(trap).encode() + b"'\ntR."
    pickle.loads(payload)
    assert trap.exists(), "the trap must work, or this test shows nothing"
    trap.unlink()
    for name in ("raw.npy", "raw.npz"):
        (tmp_path / name).write_bytes(payload)
        with pytest.raises(SteadyganError, match=name):
            open_data(DataConfig(source=str(tmp_path / name)), cache=tmp_path / "cache")
    assert not trap.exists()


@pytest.mark.parametrize("length", [0, 4, 60, 200])
def test_truncated_files_are_refused(tmp_path: Path, length: int) -> None:
    for name, save in (("a.npy", np.save), ("a.npz", lambda path, array: np.savez(path, images=array))):
        save(tmp_path / name, noise(30, 8, 8))
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:length])
        with pytest.raises(SteadyganError, match=name):
            open_data(DataConfig(source=str(tmp_path / name)), cache=tmp_path / "cache")


def test_npz_holds_images_and_labels(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, images=noise(5, 8, 8), labels=np.array([7, 3, 7, 3, 9]))
    data = open_data(DataConfig(source=str(path)), cache=tmp_path / "cache")
    assert data.labels is not None
    assert data.labels.tolist() == [1, 0, 1, 0, 2]
    assert data.label_names == ("3", "7", "9")
    assert data.classes == 3
    np.savez(path, noise(5, 8, 8))
    assert len(open_data(DataConfig(source=str(path)), cache=tmp_path / "cache")) == 5


@pytest.mark.parametrize("labels", [np.arange(4), np.zeros(5), np.zeros((5, 1), int)])
def test_labels_that_do_not_fit_are_refused(tmp_path: Path, labels: np.ndarray) -> None:
    np.savez(tmp_path / "set.npz", images=noise(5, 8, 8), labels=labels)
    with pytest.raises(SteadyganError, match="give one integer for each image"):
        open_data(DataConfig(source=str(tmp_path / "set.npz")), cache=tmp_path / "cache")


def test_several_arrays_without_images_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", a=noise(5, 8, 8), b=noise(5, 8, 8))
    with pytest.raises(SteadyganError, match="holds the arrays a, b, and none is named 'images'"):
        open_data(DataConfig(source=str(tmp_path / "set.npz")), cache=tmp_path / "cache")


def test_sizes_found_are_counted(tmp_path: Path) -> None:
    assert Counter(opened(tmp_path, noise(40, 9, 7)).facts["sizes_found"]) == {"7x9": 40}
