"""Images brought back by a run that has an encoder, from files of every kind, and what cannot be."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import steadygan
from steadygan.data.decode import decode
from steadygan.report import pictures

GIVEN = ("batch=16", "sample_count=4", "threads=1", "health.mode=off", "latent.size=4")
CLASSES = ("generator.network.conditional=true",)


@pytest.fixture(scope="session")
def encoding(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run of a family with an encoder; not to be changed."""
    path = tmp_path_factory.mktemp("encoding") / "run"
    widths = [f"{player}.network.capacity=4" for player in ("encoder", "generator")]
    steadygan.train("digits", recipe="vae", images=1600, out=path, set=[*GIVEN, *widths])
    return path


@pytest.fixture
def coder(encoding: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(encoding, tmp_path / "coder"))


def test_a_folder_of_other_sizes_comes_back_beside_itself(call: Any, coder: Path, images: Path) -> None:
    said = call("sample", coder, "--from", images, "--count", "6", "--out", "pairs.png").fine()
    assert said == f"6 images of {images} brought back by {coder}: pairs.png\n"
    run = steadygan.load(coder)
    read = run.read(str(images), 6)
    assert read.shape == (6, 1, 8, 8)
    assert float(read.min()) >= -1
    made = run.bring_back(read)
    assert torch.equal(made, run.decode(run.encode(read)))
    pairs = torch.stack([read, made], 1).flatten(0, 1)
    shown = np.asarray(Image.open("pairs.png"))
    assert np.array_equal(shown, np.asarray(pictures.grid(pairs, columns=4)))


def test_one_image_a_zip_an_array_and_a_set_can_be_given(call: Any, coder: Path, images: Path) -> None:
    archive = shutil.make_archive("many", "zip", images)
    np.save("rows.npy", np.zeros((3, 8, 8), np.uint8))
    for source, count in ((images / "03.png", 1), (archive, 30), ("rows.npy", 3), ("digits", 40)):
        said = call("sample", coder, "--from", source, "--count", "40", "--folder").fine()
        out = Path(said.rstrip("\n").rpartition(": ")[2])
        assert out.parent == coder / "generated"
        assert len(list(out.iterdir())) == count, source
    alone = steadygan.load(coder).read(str(images / "03.png"))
    assert torch.equal(alone[0], steadygan.load(coder).read(str(images))[3])


def test_of_a_large_folder_no_more_is_opened_than_is_wanted(
    coder: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (images / "00.png").write_bytes(b"no picture")
    opened: list[int] = []

    def noted(content: bytes, target: Any) -> Any:
        opened.append(len(content))
        return decode(content, target)

    monkeypatch.setattr("steadygan.data.given.decode", noted)
    run = steadygan.load(coder)
    read = run.read(str(images), 3)
    assert len(opened) == 4, "one that cannot be read is passed over"
    assert torch.equal(read, torch.cat([run.read(str(images / f"{number:02}.png")) for number in (1, 2, 3)]))


def test_arrays_hold_what_was_made(call: Any, coder: Path) -> None:
    call("sample", coder, "--from", "digits", "--npz", "--count", "5", "--out", "a.npz").fine()
    run = steadygan.load(coder)
    expected = pictures.to_uint8(run.bring_back(run.read("digits", 5))).permute(0, 2, 3, 1).numpy()
    with np.load("a.npz") as archive:
        assert np.array_equal(archive["images"], expected)


@pytest.mark.parametrize(
    ("flags", "answer"),
    [
        ("--from nothing.png", "data source 'nothing.png' does not exist: check the path"),
        ("--from notes.txt", "is a file, not images: give"),
        ("--from broken.png", "broken.png cannot be read (not an image in a known format, or its header is broken)"),
        ("--from empty", "the folder empty is empty: put images into it, or give another"),
        (
            "--from broken",
            "none of the 1 images in broken can be read (a.png: the file is empty (0 bytes)): check that",
        ),
        ("--from digits --count 0", "cannot take 0 images: ask for at least 1"),
        ("--from many.npy --count 3000", "a grid of 4,200 images is too large to look at: use --folder or --npz"),
        ("--from digits --code a=1", "--from and --code were both given: give one of them"),
        ("--from digits --label 1", "this run's generator takes no labels: leave the label out"),
        ("--from digits --out notes.txt", "notes.txt exists; nothing is overwritten: choose another --out"),
        ("--from", "--from needs a value: see steadygan sample --help"),
    ],
)
def test_what_cannot_be_brought_back_is_one_line(call: Any, coder: Path, flags: str, answer: str) -> None:
    Path("notes.txt").write_text("precious")
    Path("broken.png").write_bytes(b"no picture")
    for name in ("empty", "broken"):
        Path(name).mkdir()
    Path("broken/a.png").touch()
    np.save("many.npy", np.zeros((2100, 8, 8), np.uint8))
    assert answer in call("sample", coder, *flags.split()).fault()
    assert not (coder / "generated").exists()
    assert Path("notes.txt").read_text() == "precious"


def test_a_run_without_an_encoder_says_so(call: Any, run: Path) -> None:
    fault = call("sample", run, "--from", "digits").fault()
    assert fault == ("the game 'adversarial' has no encoder: train one that has, as `steadygan recipes` lists them")


def test_a_generator_that_takes_labels_needs_one(call: Any, tmp_path: Path) -> None:
    widths = [f"{player}.network.capacity=4" for player in ("encoder", "generator")]
    steadygan.train("digits", recipe="vae", images=160, out=tmp_path / "c", set=[*GIVEN, *widths, *CLASSES])
    assert call("sample", "c", "--from", "digits").fault() == (
        "this run's generator takes labels: say which class to make with label"
    )
    call("sample", "c", "--from", "digits", "--label", "3", "--out", "threes.png").fine()
    assert "label 10 is not a class of this run" in call("sample", "c", "--from", "digits", "--label", "10").fault()
