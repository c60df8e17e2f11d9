"""Decoding of single files, and the geometry of resizing, cropping and padding."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from steadygan.data import decode as decoding
from steadygan.data.decode import Target, Unreadable, decode, peek, place

SIDES = st.integers(2, 300)
FITS = st.sampled_from(["crop", "pad", "stretch"])


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format=form, **options)
    return file.getvalue()


def colour(height: int = 12, width: int = 16) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@given(SIDES, SIDES, SIDES, SIDES, FITS)
def test_placement_stays_inside_source_and_target(height: int, width: int, rows: int, columns: int, fit: Any) -> None:
    where = place((height, width), (rows, columns), fit)
    left, upper, right, lower = where.box
    assert 0 <= left < right <= width + 1e-9
    assert 0 <= upper < lower <= height + 1e-9
    assert 1 <= where.size[0] <= rows
    assert 1 <= where.size[1] <= columns
    assert 0 <= where.offset[0] <= rows - where.size[0]
    assert 0 <= where.offset[1] <= columns - where.size[1]


@given(SIDES, SIDES, SIDES, SIDES)
def test_crop_keeps_the_aspect_ratio_is_centred_and_as_large_as_can_be(
    height: int, width: int, rows: int, columns: int
) -> None:
    where = place((height, width), (rows, columns), "crop")
    left, upper, right, lower = where.box
    assert (right - left) / (lower - upper) == pytest.approx(columns / rows)
    assert where.size == (rows, columns)
    assert right - left == pytest.approx(width) or lower - upper == pytest.approx(height)
    assert abs((left + right) - width) <= 1 + 1e-9
    assert abs((upper + lower) - height) <= 1 + 1e-9


@given(SIDES, SIDES, SIDES, SIDES)
def test_pad_shows_all_and_touches_two_borders(height: int, width: int, rows: int, columns: int) -> None:
    where = place((height, width), (rows, columns), "pad")
    assert where.box == (0, 0, width, height)
    assert where.size[0] == rows or where.size[1] == columns
    scale = min(rows / height, columns / width)
    assert abs(where.size[0] - height * scale) <= 1
    assert abs(where.size[1] - width * scale) <= 1
    assert abs(rows - where.size[0] - 2 * where.offset[0]) <= 1


@given(SIDES, SIDES, SIDES, SIDES, FITS, st.integers(0, 255))
def test_a_flat_image_stays_flat(height: int, width: int, rows: int, columns: int, fit: Any, value: int) -> None:
    data = encoded(Image.new("L", (width, height), value), "PPM")
    row, header = decode(data, Target((rows, columns), 1, fit))
    assert row.shape == (1, rows, columns)
    assert (row == value).all()
    assert (header.height, header.width) == (height, width)


def test_same_size_is_lossless_and_channels_come_first() -> None:
    image = colour()
    row, _ = decode(encoded(image, "PNG"), Target((12, 16), 3))
    assert (row == np.asarray(image).transpose(2, 0, 1)).all()


def test_crop_at_scale_one_cuts_whole_pixels() -> None:
    image = colour(12, 17)
    row, _ = decode(encoded(image, "PNG"), Target((12, 12), 3, "crop"))
    assert (row == np.asarray(image)[:, 2:14].transpose(2, 0, 1)).all()


def test_pad_repeats_the_edge() -> None:
    image = colour(8, 16)
    row, _ = decode(encoded(image, "PNG"), Target((16, 16), 3, "pad"))
    pixels = np.asarray(image).transpose(2, 0, 1)
    assert (row[:, 4:12] == pixels).all()
    assert (row[:, :4] == pixels[:, :1]).all()
    assert (row[:, 12:] == pixels[:, -1:]).all()


def test_shrinking_is_antialiased() -> None:
    board = ((np.indices((128, 128)).sum(axis=0) % 2) * 255).astype(np.uint8)
    row, _ = decode(encoded(Image.fromarray(board), "PNG"), Target((16, 16), 1))
    assert np.abs(row.astype(int) - 127).max() <= 3


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("PNG", {}),
        ("PPM", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("WEBP", {"lossless": True}),
        ("JPEG", {"quality": 100, "subsampling": 0}),
    ],
)
def test_every_format_gives_the_same_picture(form: str, options: dict[str, Any]) -> None:
    image = Image.fromarray(np.tile(np.arange(0, 240, 15, dtype=np.uint8)[None, :, None], (12, 1, 3)))
    row, _ = decode(encoded(image, form, **options), Target((12, 16), 3))
    assert np.abs(row.astype(int) - np.asarray(image).transpose(2, 0, 1)).max() <= 3


def test_exif_rotation_is_applied_and_the_header_says_the_shown_size() -> None:
    image = Image.new("RGB", (16, 8), "black")
    image.paste((255, 255, 255), (0, 0, 16, 4))  # the upper half is white
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise: the upper half becomes the right one
    for form in ("JPEG", "PNG", "WEBP"):
        data = encoded(image, form, exif=exif)
        row, header = decode(data, Target((16, 8), 3))
        assert (header.height, header.width) == (16, 8), form
        assert peek(io.BytesIO(data)) == header, form
        assert row[:, :, 6:].mean() > 240, form
        assert row[:, :, :2].mean() < 15, form


def test_cmyk_becomes_rgb() -> None:
    data = encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=100)
    row, header = decode(data, Target((8, 8), 3))
    assert not header.grey
    assert row[0].min() > 245
    assert row[1:].max() < 10


@pytest.mark.parametrize("mode", ["P", "LA", "RGBA"])
def test_transparency_is_laid_on_white(mode: str) -> None:
    if mode == "P":
        image = Image.new("P", (8, 8), 0)
        image.putpalette([200, 0, 0, 0, 0, 200] + [0] * 762)
        image.paste(1, (4, 0, 8, 8))
        data = encoded(image, "PNG", transparency=0)
    else:
        image = Image.new(mode, (8, 8), (0,) * len(mode))
        image.paste((10,) * (len(mode) - 1) + (255,), (4, 0, 8, 8))
        data = encoded(image, "PNG")
    row, header = decode(data, Target((8, 8), 3))
    assert header.alpha
    assert (row[:, :, :4] == 255).all()
    assert (row[:, 0, 6] == ([0, 0, 200] if mode == "P" else [10] * 3)).all()


def test_four_channels_keep_the_alpha() -> None:
    row, _ = decode(encoded(Image.new("RGBA", (8, 8), (10, 20, 30, 40)), "PNG"), Target((8, 8), 4))
    assert row[:, 0, 0].tolist() == [10, 20, 30, 40]


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM"])
def test_16_bit_is_scaled_to_8(form: str) -> None:
    values = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    row, header = decode(encoded(Image.fromarray(values), form), Target((8, 8), 1))
    assert header.bits == 16
    assert header.grey
    assert (row[0] == np.rint(values / 257)).all()


@pytest.mark.parametrize("form", ["GIF", "WEBP", "TIFF", "PNG"])
def test_of_an_animation_the_first_frame_counts(form: str) -> None:
    frames = [Image.new("RGB", (8, 8), shade) for shade in ("red", "blue")]
    options = {"lossless": True} if form == "WEBP" else {}
    data = encoded(frames[0], form, save_all=True, append_images=frames[1:], **options)
    row, _ = decode(data, Target((8, 8), 3))
    assert row[:, 0, 0].tolist() == [255, 0, 0]


def test_grey_and_colour_turn_into_each_other() -> None:
    row, _ = decode(encoded(Image.new("L", (8, 8), 77), "PNG"), Target((8, 8), 3))
    assert (row == 77).all()
    row, _ = decode(encoded(Image.new("RGB", (8, 8), (255, 0, 0)), "PNG"), Target((8, 8), 1))
    assert (row == 76).all()  # .299 * 255


def broken_images() -> dict[str, tuple[bytes, str]]:
    jpeg = encoded(colour(64, 64), "JPEG")
    png = encoded(colour(64, 64), "PNG")
    bomb = b"P5 60000 60000 255\n" + b"\0" * 16
    return {
        "empty": (b"", "empty"),
        "text": (b"not an image at all", "known format"),
        "truncated jpeg": (jpeg[: len(jpeg) // 2], "truncated"),
        "truncated png": (png[: len(png) // 2], "truncated"),
        "header only": (png[:20], "header is broken|(?i:truncated)"),
        "one pixel": (encoded(Image.new("L", (1, 1)), "PNG"), "1x1 pixels, smaller than 2x2"),
        "one line": (encoded(Image.new("L", (9, 1)), "PNG"), "9x1 pixels, smaller than 2x2"),
        "bomb": (bomb, "bomb"),
        "smaller bomb": (b"P5 12000 12000 255\n" + b"\0" * 16, "12000x12000 pixels, more than"),
    }


@pytest.mark.filterwarnings("ignore:Image size")
@pytest.mark.parametrize("name", list(broken_images()))
def test_what_cannot_be_read_says_why(name: str) -> None:
    data, reason = broken_images()[name]
    with pytest.raises(Unreadable, match=reason) as caught:
        decode(data, Target((8, 8), 3))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) > 5


@given(st.binary(max_size=200), st.integers(0, 250), st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"]))
def test_damaged_files_never_raise_anything_else(junk: bytes, place: int, form: str) -> None:
    data = bytearray(encoded(colour(), form))
    data[place : place + len(junk)] = junk
    try:
        row, _ = decode(bytes(data), Target((8, 8), 3))
    except Unreadable:
        return
    assert row.shape == (3, 8, 8)


def test_float_tiff_within_range_is_read_and_outside_refused() -> None:
    row, _ = decode(encoded(Image.fromarray(np.full((4, 4), 0.5, np.float32)), "TIFF"), Target((4, 4), 1))
    assert (row == 128).all()
    with pytest.raises(Unreadable, match="float pixels"):
        decode(encoded(Image.fromarray(np.full((4, 4), 1e5, np.float32)), "TIFF"), Target((4, 4), 1))


def test_the_limit_of_pixels_is_below_pillows_own() -> None:
    assert Image.MAX_IMAGE_PIXELS is not None
    assert decoding.MAX_PIXELS < 2 * Image.MAX_IMAGE_PIXELS
