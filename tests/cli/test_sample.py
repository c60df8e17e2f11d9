"""Samples as a grid, a folder and an array: the same images, from the same seed, whatever the count."""

from __future__ import annotations

import itertools
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import steadygan
from steadygan.report import pictures


def folder(path: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    files = sorted(Path(path).iterdir())
    assert [file.name for file in files] == [f"{number:06}.png" for number in range(len(files))]
    return np.stack([np.asarray(Image.open(file)) for file in files])


def test_all_forms_hold_the_images_that_python_gives(call: Any, run: Path) -> None:
    expected = pictures.to_uint8(steadygan.load(run).sample(100, seed=3)).permute(0, 2, 3, 1).numpy()
    for form, out in (("--npz", "a.npz"), ("--folder", "a"), ("--grid", "a.png")):
        said = call("sample", run, "--count", "100", "--seed", "3", form, "--out", out).fine()
        assert said == f"100 images of {run} (seed 3, 256 images seen): {out}\n"
    with np.load("a.npz") as archive:
        assert int(archive["images_seen"]) == 256
        assert archive["images"].dtype == np.uint8
        assert np.array_equal(archive["images"], expected)
    assert np.array_equal(folder("a"), expected[..., 0])
    grid = pictures.grid(steadygan.load(run).sample(100, seed=3))
    assert np.array_equal(np.asarray(Image.open("a.png")), np.asarray(grid))


def test_the_same_seed_is_the_same_and_another_is_another(call: Any, run: Path) -> None:
    for out, count, seed in (("a", 70, 1), ("b", 3, 1), ("c", 3, 2)):
        call("sample", run, "--count", count, "--seed", seed, "--folder", "--out", out).fine()
    assert np.array_equal(folder("a")[:3], folder("b"))
    assert not np.array_equal(folder("b"), folder("c"))


def test_default_names_say_what_is_in_them_and_repeat(call: Any, run: Path) -> None:
    for form, name in ((), "64-seed0-at256.png"), (("--npz",), "64-seed0-at256.npz"), (("--folder",), "64-seed0-at256"):
        path = run / "generated" / name
        assert call("sample", run, *form).fine().endswith(f": {path}\n")
        before = path.read_bytes() if path.is_file() else folder(str(path)).tobytes()
        call("sample", run, *form).fine()
        assert (path.read_bytes() if path.is_file() else folder(str(path)).tobytes()) == before
    assert not list((run / "generated").glob(".*"))


@pytest.mark.parametrize(
    ("flags", "answer"),
    [
        ("--count 0", "cannot make 0 samples: ask for at least 1"),
        ("--count -1", "cannot make -1 samples: ask for at least 1"),
        ("--count 5000", "a grid of 5,000 images is too large to look at: use --folder or --npz"),
        ("--count 1000000000000000 --npz", "an array of 1,000,000,000,000,000 images needs "),
        ("--count 1000000000000000 --folder", "a folder of 1,000,000,000,000,000 images needs "),
        ("--label 3", "this run's generator takes no labels: leave the label out"),
        ("--device tpu", "unknown device 'tpu': choose auto, cpu, cuda or cuda:0"),
        ("--out file", "file exists; nothing is overwritten: choose another --out"),
        ("--out full --folder", "full exists; nothing is overwritten"),
        ("--out file/a.png", "cannot create file (a file of that name is in the way)"),
        ("--out /proc/a.png", "/proc/a.png"),
        ("--out /proc/a.npz --npz", "/proc"),
        ("--out /proc/a --folder", "/proc/a"),
    ],
)
def test_samples_that_cannot_be_made(call: Any, run: Path, flags: str, answer: str) -> None:
    Path("file").write_text("precious")
    Path("full").mkdir()
    assert answer in call("sample", run, *flags.split()).fault()
    assert Path("file").read_text() == "precious"
    assert sorted(path.name for path in Path().iterdir()) == ["file", "full", "run"]
    assert not (run / "generated").exists()


def test_a_full_disk_is_one_line_and_leaves_no_half_array(
    call: Any, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("steadygan.cli.writing.os.replace", full)
    fault = call("sample", run, "--npz", "--out", "a.npz").fault()
    assert fault == "cannot write a.npz (the disk is full): free some space, or choose another place with --out"
    assert [path.name for path in Path().iterdir()] == ["run"]


def test_labels_of_a_conditional_run(call: Any, small: tuple[str, ...]) -> None:
    conditional = itertools.chain.from_iterable(("--set", f"{p}.network.conditional=true") for p in PLAYERS)
    call("train", "digits", *small, *conditional, "--out", "run").fine()
    call("sample", "run", "--label", "3", "--count", "20", "--folder", "--out", "threes").fine()
    call("sample", "run", "--count", "20", "--folder", "--out", "turns").fine()
    three, turns = folder("threes"), folder("turns")
    assert [np.array_equal(one, other) for one, other in zip(three, turns, strict=True)] == [
        number % 10 == 3 for number in range(20)
    ]
    assert call("sample", "run", "--label", "10").fault() == "label 10 is not a class of this run: choose from 0 to 9"
    assert "label -1 is not a class" in call("sample", "run", "--label", "-1").fault()
    assert call("sample", "run", "--label", "3").fine().endswith("64-seed0-label3-at256.png\n")


PLAYERS = ("generator", "discriminator")


@pytest.mark.parametrize("form", ["--npz", "--folder"])
def test_a_large_count_is_streamed(call: Any, run: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """However many images are asked for, no more than two chunks of them are there at a time."""
    from steadygan.api import Trained

    alive: weakref.WeakSet[torch.Tensor] = weakref.WeakSet()
    most = 0
    real = Trained._chunk

    def chunk(self: Trained, *place: Any) -> torch.Tensor:
        nonlocal most
        made = real(self, *place)
        alive.add(made)
        most = max(most, len(alive))
        return made

    monkeypatch.setattr(Trained, "_chunk", chunk)
    call("sample", run, form, "--count", "1500", "--out", "many").fine()
    assert 1 <= most <= 2
    if form == "--npz":
        with np.load("many") as archive:
            assert archive["images"].shape == (1500, 8, 8, 1)
    else:
        assert len(folder("many")) == 1500


def test_a_run_of_two_channels_has_no_picture_files(call: Any, small: tuple[str, ...]) -> None:
    np.save("two.npy", np.random.default_rng(0).integers(0, 256, (40, 8, 8, 2), dtype=np.uint8))
    call("train", "two.npy", *small, "--out", "run").fine()
    assert call("sample", "run", "--folder").fault() == "no picture file has 2 channels: use --npz"
    call("sample", "run", "--npz", "--out", "a.npz").fine()
    with np.load("a.npz") as archive:
        assert archive["images"].shape == (64, 8, 8, 2)
