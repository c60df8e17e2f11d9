"""Data that cannot be used, and odd images among good ones, through the command line."""

from __future__ import annotations

import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Maker = Callable[[Path], object]


def png(path: Path, size: tuple[int, int] = (16, 16), mode: str = "RGB", **options: Any) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path, **options)


def bomb(path: Path) -> None:
    """A PNG of a few bytes that says that it is 50,000 pixels wide and high."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def truncated(path: Path) -> None:
    png(path, (64, 64))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def rotated(path: Path) -> None:
    notes = Image.Exif()
    notes[0x0112] = 6
    Image.new("RGB", (24, 16)).save(path, exif=notes)


def animated(path: Path) -> None:
    Image.new("RGB", (16, 16)).save(path, save_all=True, append_images=[Image.new("RGB", (16, 16), "red")])


def transparent(path: Path) -> None:
    Image.fromarray(np.tile(np.arange(4, dtype=np.uint8), (16, 4))).convert("P").save(path, transparency=1)


def deep(path: Path) -> None:
    Image.fromarray(np.arange(256, dtype=np.uint16).reshape(16, 16) * 200).save(path)


UNREADABLE: dict[str, tuple[str, Maker, str]] = {
    "truncated JPEG": ("x.jpg", truncated, "truncated"),
    "zero bytes": ("x.png", lambda path: path.touch(), "empty (0 bytes)"),
    "decompression bomb": ("x.png", bomb, "decompression bomb"),
    "1x1": ("x.png", lambda path: png(path, (1, 1)), "smaller than 2x2"),
    "text": ("x.png", lambda path: path.write_text("hello"), "not an image"),
}
READABLE: dict[str, tuple[str, Maker]] = {
    "CMYK": ("x.jpg", lambda path: png(path, mode="CMYK")),
    "palette with transparency": ("x.png", transparent),
    "16 bit": ("x.png", deep),
    "animated": ("x.gif", animated),
    "EXIF-rotated": ("x.jpg", rotated),
    "grey among colour": ("x.png", lambda path: png(path, mode="L")),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_an_unreadable_image_among_good_ones_is_named_and_left_out(call: Any, images: Path, kind: str) -> None:
    name, make, reason = UNREADABLE[kind]
    make(images / name)
    said = call("info", images)
    assert said.rows()["images"].startswith("30 (")
    assert said.rows()["quarantined"] == "1"
    (line,) = [line for line in said.out.splitlines() if line.startswith(f"  quarantined {name}: ")]
    assert reason in line


@pytest.mark.parametrize("kind", READABLE)
def test_an_odd_image_among_good_ones_is_read(call: Any, images: Path, kind: str) -> None:
    name, make = READABLE[kind]
    make(images / name)
    rows = call("info", images).rows()
    assert rows["images"].startswith("31 (")
    assert rows["size"].startswith("16x16 ")
    assert rows["quarantined"] == "0"


def test_training_goes_on_without_the_unreadable_and_says_so(call: Any, images: Path, small: tuple[str, ...]) -> None:
    for number, (name, make, _) in enumerate(UNREADABLE.values()):
        make(images / f"{number}-{name}")
    for number, (name, make) in enumerate(READABLE.values()):
        make(images / f"odd{number}-{name}")
    said = call("train", images, *small, "--set", "data.max_bad=0.2", "--out", "run").fine()
    assert "left out  5 unreadable files" in said
    rows = Path("run/quarantine.csv").read_text().splitlines()
    assert rows[0] == "path,reason"
    assert [row.split(",")[0] for row in rows[1:]] == sorted(
        f"{number}-{name}" for number, (name, _, _) in enumerate(UNREADABLE.values())
    )


def nan(path: Path) -> None:
    values = np.zeros((40, 16, 16, 1), np.float32)
    values[3, 2, 2] = np.nan
    np.save(path, values)


def evil_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../evil.png", "x")


def evil_npy(path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, ("pwned",)

    path.write_bytes(pickle.dumps(Evil()))


UNUSABLE: dict[str, tuple[str, Maker, tuple[str, ...]]] = {
    "a file instead of images": ("x.csv", lambda path: path.write_text("1,2"), ("is a file, not images", "a folder")),
    "a single image": ("x.png", png, ("is a single image", "a folder")),
    "an empty folder": ("x", lambda path: path.mkdir(), ("x is empty", "put images into it")),
    "no zip": ("x.zip", lambda path: path.write_bytes(b"PK"), ("is not a zip", "pack or fetch it again")),
    "a zip that leads out": ("x.zip", evil_zip, ("1 entries lead out", "pack it again")),
    "NaN": ("x.npy", nan, ("NaN or infinity, first in image 3", "remove or mend")),
    "wrong shape": ("x.npy", lambda path: np.save(path, np.zeros(40)), ("shape (40,)", "(N, H, W)")),
    "wrong range": ("x.npy", lambda path: np.save(path, np.full((9, 8, 8), 300.0)), ("300", "scale them")),
    "a pickle": ("x.npy", evil_npy, ("never loaded", "save uint8")),
    "no array": ("x.npy", lambda path: path.write_bytes(b"\x93NUMPY"), ("x.npy", "save uint8")),
    "no images": ("x.npz", lambda path: np.savez(path, a=np.zeros(3), b=np.zeros(3)), ("none is named 'images'",)),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_unusable_data_are_one_line_and_leave_nothing(call: Any, small: tuple[str, ...], kind: str) -> None:
    name, make, words = UNUSABLE[kind]
    make(Path(name))
    fault = call("train", name, *small, "--out", "run").fault()
    assert [word for word in words if word not in fault] == []
    assert sorted(path.name for path in Path().iterdir()) == [name]


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        ("no/where", "data source 'no/where' does not exist: check the path"),
        ("digit", "unknown data source 'digit': no file or folder is called so: did you mean 'digits'?"),
        ("fashion", "unknown data source 'fashion': no file or folder is called so: did you mean 'fashion-mnist'?"),
        ("os:nothing", "cannot import the data source 'os:nothing': module 'os' has no attribute 'nothing'"),
    ],
)
def test_data_that_are_not_there(call: Any, source: str, answer: str) -> None:
    for command in ("train", "info"):
        assert call(command, source).fault().startswith(answer)
    assert not any(Path().iterdir())


def test_a_folder_without_images_counts_what_it_has(call: Any) -> None:
    Path("texts").mkdir()
    Path("texts/a.txt").touch()
    assert "holds 1 files but no images" in call("train", "texts").fault()


def test_a_folder_that_cannot_be_read(call: Any) -> None:
    place = Path("/proc/1/map_files")
    if os.access(place, os.R_OK) and os.geteuid() != 0:
        pytest.skip("every folder can be read here")
    try:
        os.listdir(place)
    except OSError:
        assert "check its permissions" in call("train", place).fault()
    else:
        pytest.skip("every folder can be read here")


def test_every_image_broken(call: Any) -> None:
    Path("broken").mkdir()
    for number in range(5):
        Path(f"broken/{number}.png").write_bytes(b"nonsense")
    fault = call("train", "broken", "--out", "run").fault()
    assert "none of the 5 images" in fault
    assert "0.png: not an image" in fault
    assert not Path("run").exists()


def test_too_many_broken_says_how_to_go_on(call: Any, images: Path, small: tuple[str, ...]) -> None:
    for number in range(10):
        (images / f"b{number}.png").write_bytes(b"x")
    fault = call("train", images, *small, "--out", "run").fault()
    assert "10 of 40 images" in fault
    assert "raise data.max_bad above 0.250 (now 0.1)" in fault
    assert not Path("run").exists()


def test_a_zip_that_leads_out_in_part_is_used_without_that_part(call: Any, images: Path) -> None:
    with zipfile.ZipFile("x.zip", "w") as archive:
        archive.writestr("../evil.png", "x")
        for path in images.iterdir():
            archive.write(path, path.name)
    said = call("info", "x.zip")
    assert "quarantined ../evil.png: refused: its path leads out of the zip" in said.fine()
    assert said.rows()["images"].startswith("30 (")
    assert not Path("../evil.png").exists()


def test_fewer_images_than_a_batch_says_which_batch_fits(call: Any, images: Path) -> None:
    flags = ("--recipe", "mlp", "--images", "64", "--set", "batch=512", "--out", "run")
    fault = call("train", images, *flags).fault()
    assert "fewer than a batch of 512: set batch=16 " in fault
    assert not Path("run").exists()


def test_the_run_can_be_resumed_from_another_folder(
    call: Any, images: Path, small: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("train", images.name, *small, "--out", "run").fine()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert "256 images seen" in call("resume", tmp_path / "run").fine()
