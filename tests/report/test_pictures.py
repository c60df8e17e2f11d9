"""Grids, rounding, animations and scatter plots."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from steadygan.errors import SteadyganError
from steadygan.report.pictures import animate, grid, save_png, scatter, to_uint8


def test_bytes_survive_the_way_to_floats_and_back() -> None:
    values = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(values.double() / 127.5 - 1), values)
    assert torch.equal(to_uint8(values.float() / 127.5 - 1), values)
    assert to_uint8(values) is values


def test_rounding_clamping_and_what_is_not_finite() -> None:
    inf, nan = float("inf"), float("nan")
    values = torch.tensor([-9.0, -1.0, 1.0, 9.0, nan, inf, -inf, 0.6 / 127.5 - 1, 0.4 / 127.5 - 1], dtype=torch.float64)
    assert to_uint8(values).tolist() == [0, 0, 255, 255, 0, 255, 0, 1, 0]
    assert to_uint8(torch.tensor([0.999], dtype=torch.bfloat16)).dtype == torch.uint8


@given(
    count=st.integers(1, 20),
    channels=st.integers(1, 5),
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    columns=st.none() | st.integers(1, 30),
    scale=st.none() | st.integers(1, 4),
)
def test_every_pixel_of_every_tile_is_in_its_place(
    count: int, channels: int, height: int, width: int, columns: int | None, scale: int | None
) -> None:
    images = torch.randint(0, 256, (count, channels, height, width), dtype=torch.uint8)
    picture = np.atleast_3d(np.asarray(grid(images, columns, scale)))
    shown = (
        images.movedim(1, -1)[..., :3].numpy() if channels != 2 else images.movedim(1, 2).flatten(2)[..., None].numpy()
    )
    factor = scale or max(1, -(-64 // max(shown.shape[1:3])))
    gap = max(2, factor // 4)
    high, wide = shown.shape[1] * factor + gap, shown.shape[2] * factor + gap
    columns = (picture.shape[1] - gap) // wide
    assert picture.shape[2] == (1 if channels < 3 else 3)
    assert (picture.shape[0] - gap) // high == -(-count // columns)
    for number in range(count):
        top, left = gap + number // columns * high, gap + number % columns * wide
        tile = picture[top : top + high - gap, left : left + wide - gap]
        assert np.array_equal(tile[::factor, ::factor], shown[number])
        assert np.array_equal(tile[factor - 1 :: factor, factor - 1 :: factor], shown[number])


def test_sixty_four_tiny_digits_are_large_enough_to_read() -> None:
    picture = grid(torch.zeros(64, 1, 8, 8))
    assert picture.size == (530, 530) and picture.mode == "L"
    assert grid(torch.zeros(64, 3, 64, 64)).size == (8 * 66 + 2, 8 * 66 + 2)


def test_tall_images_get_more_columns_than_rows() -> None:
    picture = grid(torch.zeros(32, 1, 112, 56), scale=1)
    assert 0.8 < picture.width / picture.height < 1.25


@pytest.mark.parametrize("shape", [(0, 1, 8, 8), (4, 0, 8, 8), (1, 8, 8), (4, 1, 0, 8)])
def test_nothing_to_show(shape: tuple[int, ...]) -> None:
    with pytest.raises(SteadyganError, match="cannot show images of shape"):
        grid(torch.zeros(shape))


def test_saved_png_is_the_same_and_alone(tmp_path: Path) -> None:
    picture = grid(torch.rand(4, 3, 9, 7) * 2 - 1)
    save_png(tmp_path / "a" / "b.png", picture)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a" / "b.png")), np.asarray(picture))
    assert [file.name for file in (tmp_path / "a").iterdir()] == ["b.png"]


def test_unwritable_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SteadyganError, match="cannot write"):
        save_png(tmp_path / "file" / "a.png", Image.new("L", (2, 2)))


def frames(folder: Path, count: int) -> list[Path]:
    for number in range(count):
        save_png(folder / f"{number:03}.png", Image.new("L", (16, 12), number * 5))
    return sorted(folder.iterdir())


@pytest.mark.parametrize("ending", [".webp", ".gif"])
def test_animation_keeps_first_and_last_frame(tmp_path: Path, ending: str) -> None:
    files = frames(tmp_path / "samples", 40)
    animate(tmp_path / "samples", tmp_path / f"a{ending}", fps=10, max_frames=7)
    with Image.open(tmp_path / f"a{ending}") as movie:
        assert movie.n_frames == 7 and movie.size == (16, 12) and movie.info.get("loop") == 0  # type: ignore[attr-defined]
        shades = []
        for number in range(7):
            movie.seek(number)
            shades.append(int(np.asarray(movie.convert("L")).mean()))
    assert abs(shades[0] - 0) <= 3 and abs(shades[-1] - 195) <= 3 and shades == sorted(shades)
    animate(files[:2], tmp_path / f"b{ending}")
    assert (tmp_path / f"b{ending}").stat().st_size > 0


def test_frames_of_another_size_are_fitted_to_the_last(tmp_path: Path) -> None:
    files = frames(tmp_path / "samples", 2)
    save_png(tmp_path / "samples" / "z.png", Image.new("RGB", (32, 24), "red"))
    animate([*files, tmp_path / "samples" / "z.png"], tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as movie:
        assert movie.size == (32, 24) and movie.n_frames == 3  # type: ignore[attr-defined]


def test_animation_faults(tmp_path: Path) -> None:
    files = frames(tmp_path / "samples", 2)
    with pytest.raises(SteadyganError, match=r"end the name in \.webp or \.gif"):
        animate(files, tmp_path / "a.mp4")
    with pytest.raises(SteadyganError, match="no frames"):
        animate(tmp_path / "nowhere", tmp_path / "a.gif")
    files[1].write_bytes(files[1].read_bytes()[:20])
    with pytest.raises(SteadyganError, match=r"cannot read the frame .*001\.png"):
        animate(files, tmp_path / "a.gif")


def test_scatter_puts_points_and_centres_where_they_belong(tmp_path: Path) -> None:
    scatter(
        torch.tensor([[1.0, 1.0], [float("nan"), 0.0], [900.0, 0.0]]),
        torch.tensor([[-1.0, -1.0], [1.0, -1.0]]),
        tmp_path / "s.png",
        200,
    )
    picture = np.asarray(Image.open(tmp_path / "s.png")).astype(int)
    assert picture.shape == (200, 200, 3)
    orange = np.argwhere((picture[..., 0] - picture[..., 2]) > 80)
    # Two centres at the same height, left and right of the middle.
    assert abs(orange[:, 0].mean() - 100) < 3 and orange[:, 1].min() < 60 and orange[:, 1].max() > 140


@pytest.mark.parametrize("count", [0, 1, 50])
def test_scatter_without_centres(tmp_path: Path, count: int) -> None:
    scatter(torch.randn(count, 2), None, tmp_path / "s.png", 160)
    picture = np.asarray(Image.open(tmp_path / "s.png")).astype(int)
    assert ((picture[..., 2] - picture[..., 0]) > 40).any() == (count > 0)
