"""Sources from end to end: what is opened, what is said about it, and every bad input."""

from __future__ import annotations

import csv
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from steadygan.config import DataConfig
from steadygan.data import DataSet, open_data, write_quarantine
from steadygan.errors import SteadyganError


def fill(folder: Path, count: int = 12, size: tuple[int, int] = (16, 16), mode: str = "RGB", seed: int = 0) -> Path:
    """Noise images of (width, height) ``size``; their names begin with their mode."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    for number in range(count):
        pixels = generator.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(folder / f"{mode}{size[0]}-{number:03d}.png")
    return folder


def opened(source: object, tmp_path: Path, **settings: Any) -> DataSet:
    return open_data(DataConfig(source=str(source), **settings), cache=tmp_path / "cache")


def test_digits(tmp_path: Path) -> None:
    data = opened("digits", tmp_path)
    assert (len(data), data.shape, data.classes) == (1797, (1, 8, 8), 10)
    assert data.images.max() == 255
    assert sorted([*data.train, *data.held_out]) == list(range(1797))
    assert 40 < len(data.held_out) < 140
    batch = data.rows(data.train[:5])
    assert batch.dtype == torch.uint8
    assert batch.shape == (5, 1, 8, 8)
    assert (batch.numpy() == data.images[data.train[:5]]).all()
    larger = opened("digits", tmp_path, image_size=(16, 12))
    assert larger.shape == (1, 16, 12)
    assert larger.fingerprint != data.fingerprint


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_canonical_sets(real_data: Path, tmp_path: Path, name: str) -> None:
    if not (real_data / name).is_dir():
        pytest.skip(f"{real_data / name} is not there")
    data = opened(name, tmp_path, folder=str(real_data), split="test")
    assert (len(data), data.shape, data.classes) == (10_000, (1, 28, 28), 10)


def test_faces_are_kept_as_tall_as_they_are(real_data: Path, tmp_path: Path) -> None:
    path = real_data / "faces" / "att-faces.zip"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    data = opened(path, tmp_path)
    assert (len(data), data.shape, data.classes) == (400, (1, 112, 92), 40)
    assert data.facts["sizes_found"] == {"92x112": 400}
    assert data.facts["size"].startswith("92x112")


def test_mixed_sizes_and_one_grey_image(real_data: Path, tmp_path: Path) -> None:
    path = real_data / "super-resolution" / "set14.zip"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    data = opened(path, tmp_path)
    assert data.shape[0] == 3
    assert "median shorter side" in data.facts["size"]
    assert "1 grey images repeated" in data.facts["channels"]


def test_sub_folders_are_labels(tmp_path: Path) -> None:
    fill(tmp_path / "set" / "cats", 5, seed=1)
    fill(tmp_path / "set" / "dogs", 7, seed=2)
    data = opened(tmp_path / "set", tmp_path)
    assert data.label_names == ("cats", "dogs")
    assert data.labels is not None
    assert data.labels.dtype == np.int64
    assert data.labels.tolist() == [0] * 5 + [1] * 7


@pytest.mark.parametrize(("grey", "colour", "channels"), [(8, 4, 1), (4, 8, 3), (6, 6, 3)])
def test_the_majority_decides_the_channels(tmp_path: Path, grey: int, colour: int, channels: int) -> None:
    fill(tmp_path / "set", grey, mode="L")
    fill(tmp_path / "set", colour)
    data = opened(tmp_path / "set", tmp_path)
    assert data.shape[0] == channels
    assert ("turned to grey" if channels == 1 else "grey images repeated") in data.facts["channels"]
    assert opened(tmp_path / "set", tmp_path, channels=4).shape[0] == 4


@pytest.mark.parametrize(
    ("sizes", "shape"),
    [
        ({(20, 30): 12}, (30, 20)),  # all alike
        ({(20, 30): 19, (50, 50): 1}, (30, 20)),  # nearly all alike
        ({(100, 100): 3, (110, 110): 3, (70, 70): 3}, (96, 96)),
        ({(120, 80): 4, (150, 100): 4, (80, 80): 3}, (64, 96)),
        ({(80, 120): 4, (100, 150): 4, (80, 80): 3}, (96, 64)),
        ({(4, 4): 5}, (8, 8)),
        ({(1024, 512): 3}, (128, 256)),
        ({(2000, 10): 2}, (8, 256)),
    ],
)
def test_the_size_is_chosen_from_the_data(
    tmp_path: Path, sizes: dict[tuple[int, int], int], shape: tuple[int, int]
) -> None:
    for size, count in sizes.items():
        fill(tmp_path / "set", count, size=size)
    data = opened(tmp_path / "set", tmp_path)
    assert data.shape[1:] == shape
    assert data.facts["size"].startswith(f"{shape[1]}x{shape[0]} (width x height), ")


def test_bad_images_among_good_ones_go_to_quarantine(tmp_path: Path) -> None:
    folder = fill(tmp_path / "set", 40)
    (folder / "zero.png").touch()
    whole = folder / "RGB16-000.png"
    (folder / "cut.png").write_bytes(whole.read_bytes()[:300])
    Image.new("L", (1, 1)).save(folder / "dot.png")
    data = opened(folder, tmp_path)
    assert len(data) == 40
    assert data.facts["quarantined"] == 3
    assert [path for path, _ in data.quarantine] == ["cut.png", "dot.png", "zero.png"]
    again = opened(folder, tmp_path)
    assert again.quarantine == data.quarantine
    write_quarantine(tmp_path / "quarantine.csv", data.quarantine)
    with (tmp_path / "quarantine.csv").open(newline="") as file:
        lines = list(csv.reader(file))
    assert lines[0] == ["path", "reason"]
    assert [tuple(line) for line in lines[1:]] == list(data.quarantine)


def test_the_bad_ones_may_be_the_first_and_labels_stay_right(tmp_path: Path) -> None:
    fill(tmp_path / "set" / "a", 6)
    fill(tmp_path / "set" / "b", 6, seed=1)
    (tmp_path / "set" / "a" / "0.png").write_bytes(b"broken")
    data = opened(tmp_path / "set", tmp_path)
    assert data.labels is not None
    assert data.labels.tolist() == [0] * 6 + [1] * 6


def test_too_many_bad_images_stop_with_their_reasons_until_they_are_allowed(tmp_path: Path) -> None:
    folder = fill(tmp_path / "set", 8)
    for number in range(2):
        (folder / f"bad{number}.png").touch()
    with pytest.raises(SteadyganError, match=r"2 of 10 images in .* cannot be read \(bad0\.png: .*0 bytes") as caught:
        opened(folder, tmp_path)
    assert "data.max_bad above 0.200 (now 0.1)" in str(caught.value)
    assert len(opened(folder, tmp_path, max_bad=0.2)) == 8
    with pytest.raises(SteadyganError, match="2 of 10"):
        opened(folder, tmp_path)


def test_a_whole_block_of_bad_images_before_the_good_ones(tmp_path: Path) -> None:
    folder = fill(tmp_path / "set", 60)
    for number in range(40):
        (folder / f"0{number:03d}.png").touch()
    data = opened(folder, tmp_path, max_bad=0.5)
    assert len(data) == 60
    assert len(data.quarantine) == 40


@pytest.mark.filterwarnings("error")
def test_a_bomb_and_odd_files_are_quarantined_without_a_warning(tmp_path: Path) -> None:
    folder = fill(tmp_path / "set", 20)
    (folder / "bomb.pgm").write_bytes(b"P5 12000 12000 255\n" + bytes(16))
    (folder / "worse.pgm").write_bytes(b"P5 60000 60000 255\n" + bytes(16))
    data = opened(folder, tmp_path)
    assert len(data) == 20
    assert ["bomb" in reason for _, reason in data.quarantine] == [True, True]


def test_every_image_broken(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for number in range(5):
        (tmp_path / "set" / f"{number}.jpg").write_bytes(b"broken")
    with pytest.raises(SteadyganError, match="none of the 5 images .* can be read .*0.jpg: not an image"):
        opened(tmp_path / "set", tmp_path, max_bad=1.0)
    with pytest.raises(SteadyganError, match="none of the 5 images .* can be read .*0.jpg: not an image"):
        opened(tmp_path / "set", tmp_path, max_bad=1.0, image_size=(8, 8), channels=3)


def test_duplicates_are_counted_and_stay_together(tmp_path: Path) -> None:
    folder = fill(tmp_path / "set", 30)
    for path in sorted(folder.iterdir()):
        (folder / f"copy-{path.name}").write_bytes(path.read_bytes())
    data = opened(folder, tmp_path, held_out=0.4)
    assert data.facts["duplicates"] == 30
    held = {data.images[row].tobytes() for row in data.held_out}
    assert held
    assert not held & {data.images[row].tobytes() for row in data.train}


def test_one_image_trains_and_says_that_nothing_is_held_out(tmp_path: Path) -> None:
    data = opened(fill(tmp_path / "set", 1), tmp_path)
    assert data.train.tolist() == [0]
    assert len(data.held_out) == 0
    assert "too few distinct images" in data.facts["held_out_note"]


def test_the_fingerprint_follows_content_not_place(tmp_path: Path) -> None:
    one = opened(fill(tmp_path / "one"), tmp_path)
    two = opened(fill(tmp_path / "two"), tmp_path)
    assert one.fingerprint == two.fingerprint
    assert opened(tmp_path / "one", tmp_path, held_out=0.2).fingerprint != one.fingerprint
    assert opened(fill(tmp_path / "three", seed=1), tmp_path).fingerprint != one.fingerprint


def test_a_zip_with_paths_that_lead_out_quarantines_them(tmp_path: Path) -> None:
    folder = fill(tmp_path / "set", 20)
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
        archive.write(path, "../../outside.png")
    data = opened(tmp_path / "set.zip", tmp_path)
    assert len(data) == 20
    assert data.quarantine == (("../../outside.png", "refused: its path leads out of the zip"),)
    assert not (tmp_path.parent / "outside.png").exists()


def test_a_function_outside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("own_images")
    pixels = np.random.default_rng(0).integers(0, 256, (20, 9, 9), dtype=np.uint8)
    made: list[Any] = [(pixels, np.arange(20) % 2, ("even", "odd"))]
    module.load = lambda config: made[0]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "own_images", module)
    data = opened("own_images:load", tmp_path)
    assert (len(data), data.shape, data.label_names) == (20, (1, 9, 9), ("even", "odd"))
    made[0] = pixels[:7]
    assert len(opened("own_images:load", tmp_path)) == 7
    made[0] = [1, 2]
    with pytest.raises(SteadyganError, match="'own_images:load' returned list: return images"):
        opened("own_images:load", tmp_path)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("mnits", "unknown data source 'mnits': .*did you mean 'mnist'"),
        ("zzzzzzzz", "unknown data source 'zzzzzzzz': .*choose one of cifar10, digits, fashion-mnist, mnist"),
        ("./nowhere", "'./nowhere' does not exist: check the path"),
        ("photos.zip", "'photos.zip' does not exist"),
        ("no_such_module:load", "cannot import the data source 'no_such_module:load'.*check module"),
        ("math:nothing", "cannot import the data source 'math:nothing'"),
        (" ", "the data source is empty: give a path or one of cifar10, digits"),
    ],
)
def test_sources_that_are_not_there(tmp_path: Path, source: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SteadyganError, match=reason) as caught:
        opened(source, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_file_instead_of_images(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("words")
    with pytest.raises(SteadyganError, match=r"notes\.txt' is a file, not images: give a folder"):
        opened(tmp_path / "notes.txt", tmp_path)
    Image.new("L", (8, 8)).save(tmp_path / "one.png")
    with pytest.raises(SteadyganError, match=r"one\.png' is a single image: give a folder"):
        opened(tmp_path / "one.png", tmp_path)


@pytest.mark.parametrize("size", [(0, 8), (1, 8), (8, 100_000), (-4, 8)])
def test_absurd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(SteadyganError, match=r"data\.image_size .* is out of range: choose 2 to 2048"):
        opened("digits", tmp_path, image_size=size)


def test_channels_that_images_cannot_have(tmp_path: Path) -> None:
    with pytest.raises(SteadyganError, match=r"data\.channels is 7, but images as files have 1"):
        opened(fill(tmp_path / "set"), tmp_path, channels=7)


def test_a_name_that_is_no_text_is_read_and_quarantined_all_the_same(tmp_path: Path) -> None:
    folder = fill(tmp_path / "set", 20)
    broken = folder / "bad\udcff.png"
    try:
        broken.touch()
    except OSError:
        pytest.skip("the file system takes only text")
    data = opened(folder, tmp_path)
    assert len(data.quarantine) == 1
    assert opened(folder, tmp_path).quarantine == data.quarantine
    write_quarantine(tmp_path / "quarantine.csv", data.quarantine)


def test_decoding_needs_no_torch() -> None:
    import subprocess

    code = "import sys, steadygan.data.workers, steadygan.data.cache; sys.exit('torch' in sys.modules)"
    environment = {"PYTHONPATH": ":".join(sys.path), "PATH": ""}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
