"""Built-in canonical sets: found, downloaded, told apart, and refused when damaged."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steadygan.config import DataConfig
from steadygan.data import canonical
from steadygan.data.canonical import CANONICAL, File, load_canonical, read_idx
from steadygan.errors import SteadyganError

RNG = np.random.default_rng(0)
TRAIN = RNG.integers(0, 256, (30, 28, 28), dtype=np.uint8)
TEST = RNG.integers(0, 256, (10, 28, 28), dtype=np.uint8)
TRAIN_LABELS = np.arange(30, dtype=np.uint8) % 10
TEST_LABELS = np.arange(10, dtype=np.uint8)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STEADYGAN_DATA", raising=False)
    monkeypatch.delenv("STEADYGAN_MIRROR", raising=False)


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def mnist_bytes() -> dict[str, bytes]:
    arrays = {
        "train-images-idx3-ubyte": TRAIN,
        "train-labels-idx1-ubyte": TRAIN_LABELS,
        "t10k-images-idx3-ubyte": TEST,
        "t10k-labels-idx1-ubyte": TEST_LABELS,
    }
    return {name: idx(array) for name, array in arrays.items()}


def write_mnist(folder: Path, packed: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, body in mnist_bytes().items():
        (folder / (name + ".gz" if packed else name)).write_bytes(gzip.compress(body, mtime=0) if packed else body)
    return folder


def load(name: str, cache: Path, **settings: Any) -> tuple[np.ndarray, np.ndarray, list[str], dict[str, Any]]:
    return load_canonical(name, DataConfig(**({"download": False} | settings)), cache=cache)


def refused(name: str, cache: Path, **settings: Any) -> str:
    with pytest.raises(SteadyganError) as caught:
        load(name, cache, **settings)
    line = str(caught.value)
    assert "\n" not in line and ": " in line
    return line


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(
    ("split", "images", "labels"),
    [
        ("train", TRAIN, TRAIN_LABELS),
        ("test", TEST, TEST_LABELS),
        ("all", np.concatenate([TRAIN, TEST]), np.concatenate([TRAIN_LABELS, TEST_LABELS])),
    ],
)
def test_idx_files_packed_or_not(
    tmp_path: Path, packed: bool, split: str, images: np.ndarray, labels: np.ndarray
) -> None:
    folder = write_mnist(tmp_path / "set", packed)
    got, classes, names, facts = load("mnist", tmp_path, folder=str(folder), split=split)
    assert got.dtype == np.uint8 and classes.dtype == np.int64
    assert np.array_equal(got[:, 0], images) and np.array_equal(classes, labels)
    assert names == list("0123456789")
    assert facts["count"] == len(images) and facts["split"] == split and facts["folder"] == str(folder)
    assert facts["extract"] is False and facts["title"] == "MNIST"


def test_order_of_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [tmp_path / "own" / "mnist", tmp_path / "own", tmp_path / "env" / "mnist", tmp_path / "env"]
    places.append(tmp_path / "cache" / "downloads" / "mnist")
    monkeypatch.setenv("STEADYGAN_DATA", str(tmp_path / "env"))
    (tmp_path / "own").mkdir()
    for place in reversed(places):
        write_mnist(place)
        assert load("mnist", tmp_path / "cache", folder=str(tmp_path / "own"))[3]["folder"] == str(place)


def test_only_the_files_of_the_split_are_needed(tmp_path: Path) -> None:
    for file in write_mnist(tmp_path / "set").glob("train*"):
        file.unlink()
    assert len(load("mnist", tmp_path, folder=str(tmp_path / "set"), split="test")[0]) == 10
    assert "train-images-idx3-ubyte.gz" in refused("mnist", tmp_path, folder=str(tmp_path / "set"))


def test_absent_without_download_names_files_places_and_remedy(tmp_path: Path) -> None:
    line = refused("cifar10", tmp_path / "cache")
    assert "cifar-10-binary.tar.gz" in line and str(tmp_path / "cache" / "downloads" / "cifar10") in line
    assert "data.folder" in line and "data.download" in line


def test_folder_that_is_none(tmp_path: Path) -> None:
    assert "is not a folder" in refused("mnist", tmp_path, folder=str(tmp_path / "nowhere"))


def test_unknown_name(tmp_path: Path) -> None:
    assert refused("fashion-mnits", tmp_path) == ("unknown built-in set 'fashion-mnits': did you mean 'fashion-mnist'?")


def damage(name: str) -> dict[str, bytes]:
    body = mnist_bytes()
    images, labels = body["train-images-idx3-ubyte"], body["train-labels-idx1-ubyte"]
    packed = gzip.compress(images, mtime=0)
    broken = bytearray(packed)
    broken[len(packed) // 2] ^= 0xFF
    return {
        "truncated gzip": {"images.gz": packed[: len(packed) // 2]},
        "corrupt gzip": {"images.gz": bytes(broken)},
        "wrong crc": {"images.gz": packed[:-8] + b"\0" * 4 + packed[-4:]},
        "truncated": {"images": images[:-5]},
        "truncated header": {"images": images[:7]},
        "too long": {"images": images + b"x"},
        "empty": {"images": b""},
        "magic": {"images": b"\0\0\x0d\3" + images[4:]},
        "labels for images": {"images": labels},
        "huge": {"images": images[:4] + b"\xff" * 12 + images[16:]},
        "no image": {"images": images[:4] + b"\0" * 12},
        "count": {"labels": idx(TRAIN_LABELS[:-1])},
        "class": {"labels": idx(np.full(30, 10, np.uint8))},
    }[name]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("truncated gzip", "truncated: its gzip stream breaks off"),
        ("corrupt gzip", "damaged gzip file"),
        ("wrong crc", "damaged gzip file"),
        ("truncated", "truncated: 23515 bytes and not the 23520"),
        ("truncated header", "truncated in its header"),
        ("too long", "longer than the 23520 bytes"),
        ("empty", "magic number"),
        ("magic", "magic number 00000d03 and not 00000803"),
        ("labels for images", "magic number 00000801 and not 00000803"),
        ("huge", "claims the shape (4294967295, 4294967295, 4294967295)"),
        ("no image", "claims the shape (0, 0, 0)"),
        ("count", "has 29 labels, but train-images-idx3-ubyte has 30 images"),
        ("class", "holds class 10, which MNIST does not have"),
    ],
)
def test_damaged_files(tmp_path: Path, name: str, words: str) -> None:
    folder = write_mnist(tmp_path / "set", packed=False)
    for kind, body in damage(name).items():
        stem = "train-images-idx3-ubyte" if kind.startswith("images") else "train-labels-idx1-ubyte"
        (folder / stem).unlink()
        (folder / (stem + kind.removeprefix("images").removeprefix("labels"))).write_bytes(body)
    line = refused("mnist", tmp_path, folder=str(folder))
    assert words in line and str(folder) in line and "good copy" in line


def test_fashion_in_the_bare_folder_is_not_taken_for_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for packed in (True, False):
        folder = write_mnist(tmp_path / str(packed), packed)
        body = mnist_bytes()["train-images-idx3-ubyte"]
        sums = [hashlib.md5(data).hexdigest() for data in (gzip.compress(body, mtime=0), body)]
        parts = {"train": (File("train-images-idx3-ubyte.gz", 0, *sums), CANONICAL["mnist"].parts["train"][1])}
        with monkeypatch.context() as patch:
            patch.setitem(CANONICAL, "fashion-mnist", replace(CANONICAL["fashion-mnist"], parts=parts))
            assert len(load("fashion-mnist", tmp_path, folder=str(folder))[0]) == 30
            assert "are not in" in refused("mnist", tmp_path, folder=str(folder))


# CIFAR-10


def cifar_row(label: int) -> bytes:
    return bytes([label]) + RNG.integers(0, 256, 3072, dtype=np.uint8).tobytes()


def cifar_batches() -> dict[str, bytes]:
    names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    return {name: b"".join(cifar_row((i + j) % 10) for j in range(4)) for i, name in enumerate(names)}


def cifar_archive(batches: dict[str, bytes]) -> bytes:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w:gz") as stream:
        for name, data in {
            "../../evil.txt": b"x",
            **{f"cifar-10-batches-bin/{k}": v for k, v in batches.items()},
        }.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            stream.addfile(info, io.BytesIO(data))
    return body.getvalue()


@pytest.mark.parametrize("form", ["archive", "folder", "files"])
def test_cifar_binary(tmp_path: Path, form: str) -> None:
    batches = cifar_batches()
    folder = tmp_path / "set"
    place = folder / "cifar-10-batches-bin" if form == "folder" else folder
    place.mkdir(parents=True)
    if form == "archive":
        (folder / "cifar-10-binary.tar.gz").write_bytes(cifar_archive(batches))
    else:
        for name, body in batches.items():
            (place / name).write_bytes(body)
    images, labels, names, facts = load("cifar10", tmp_path, folder=str(folder), split="all")
    rows = np.frombuffer(b"".join(batches.values()), np.uint8).reshape(-1, 3073)
    assert np.array_equal(labels, rows[:, 0]) and np.array_equal(images.reshape(24, -1), rows[:, 1:])
    assert images.shape == (24, 3, 32, 32) and names[0] == "airplane" and facts["extract"] is False
    assert len(load("cifar10", tmp_path, folder=str(folder), split="test")[0]) == 4
    assert not list(tmp_path.rglob("evil.txt"))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("cut", "truncated or damaged"),
        ("noise", "truncated or damaged"),
        ("missing", "lacks test_batch.bin"),
        ("rows", "are not rows of 3073"),
        ("class", "holds class 77"),
    ],
)
def test_damaged_cifar_archive(tmp_path: Path, kind: str, words: str) -> None:
    batches = cifar_batches()
    if kind == "missing":
        del batches["test_batch.bin"]
    if kind == "rows":
        batches["test_batch.bin"] = batches["test_batch.bin"][:-1]
    if kind == "class":
        batches["test_batch.bin"] = cifar_row(77)
    body = cifar_archive(batches)
    body = {"cut": body[: len(body) // 2], "noise": b"\x1f\x8bnoise"}.get(kind, body)
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(body)
    assert words in refused("cifar10", tmp_path, folder=str(tmp_path), split="test")


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (Path("sprung"), "x"))


def test_pickled_cifar_is_never_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(pickle.dumps(Trap()))
    line = refused("cifar10", tmp_path / "cache", folder=str(tmp_path))
    assert "pickles, which are never loaded" in line and "cifar-10-binary.tar.gz" in line
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(("split", "count"), [("train", 4000), ("test", 1000), ("all", 5000)])
def test_cifar_extract(real_data: Path, tmp_path: Path, split: str, count: int) -> None:
    if not (real_data / "cifar10-5k").is_dir():
        pytest.skip("cifar10-5k is not there")
    images, labels, names, facts = load("cifar10", tmp_path, folder=str(real_data), split=split)
    assert images.shape == (count, 3, 32, 32) and images.flags.c_contiguous
    assert "5,000-image extract" in facts["note"] and facts["extract"] is True
    if split != "test":
        # The first training image is the well-known frog; its first pixel and its classes are public.
        assert names[labels[0]] == "frog" and images[0, :, 0, 0].tolist() == [59, 62, 63]
        assert labels[:5].tolist() == [6, 9, 9, 4, 1]


def test_whole_cifar_goes_before_the_extract(real_data: Path, tmp_path: Path) -> None:
    if not (real_data / "cifar10-5k").is_dir():
        pytest.skip("cifar10-5k is not there")
    downloads = tmp_path / "downloads" / "cifar10"
    downloads.mkdir(parents=True)
    (downloads / "cifar-10-binary.tar.gz").write_bytes(cifar_archive(cifar_batches()))
    assert load("cifar10", tmp_path, folder=str(real_data))[3]["extract"] is False


def test_damaged_extract(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "cifar10-5k"
    if not source.is_dir():
        pytest.skip("cifar10-5k is not there")
    strip, listing = tmp_path / "cifar10_batch_50.png", tmp_path / "labels.txt"
    body, labels = (source / strip.name).read_bytes(), (source / "labels.txt").read_text()
    for picture, text, words in (
        (body[:5000], labels, "truncated or damaged"),
        (b"", labels, "truncated or damaged"),
        (body, labels + "3\n", "5001 lines"),
        (body, labels.replace("6", "x", 1), "something else than class numbers"),
        (body, labels + "-1", "5001 lines"),
    ):
        strip.write_bytes(picture)
        listing.write_text(text)
        assert words in refused("cifar10", tmp_path / "cache", folder=str(tmp_path), split="test")


@pytest.mark.parametrize(("name", "mean"), [("mnist", 33.79), ("fashion-mnist", 73.15)])
def test_real_files(real_data: Path, tmp_path: Path, name: str, mean: float) -> None:
    if not (real_data / name).is_dir():
        pytest.skip(f"{name} is not there")
    images, labels, names, _ = load(name, tmp_path, folder=str(real_data), split="test")
    assert images.shape == (10000, 1, 28, 28) and abs(images.mean() - mean) < 0.01
    assert np.bincount(labels).size == len(names) == 10
    for part in CANONICAL[name].parts.values():
        for file in part:
            packed = (real_data / name / file.name).read_bytes()
            assert (len(packed), hashlib.md5(packed).hexdigest()) == (file.size, file.md5)
            assert hashlib.md5(gzip.decompress(packed)).hexdigest() == file.content


def test_real_sets_with_the_same_file_names_are_told_apart(real_data: Path, tmp_path: Path) -> None:
    if not (real_data / "fashion-mnist").is_dir():
        pytest.skip("fashion-mnist is not there")
    assert "are not in" in refused("mnist", tmp_path, folder=str(real_data / "fashion-mnist"), split="test")


def test_read_idx_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SteadyganError, match="cannot read"):
        read_idx(tmp_path, 3)


# Downloads, from a server on this machine.


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that is served as $STEADYGAN_MIRROR, with MNIST-like files whose checksums the table knows."""
    root = tmp_path / "served"
    write_mnist(root / "mnist")
    parts = {
        key: tuple(
            File(file.name, len(body := (root / "mnist" / file.name).read_bytes()), hashlib.md5(body).hexdigest())
            for file in files
        )
        for key, files in CANONICAL["mnist"].parts.items()
    }
    monkeypatch.setitem(CANONICAL, "mnist", replace(CANONICAL["mnist"], parts=parts))
    monkeypatch.setattr(canonical, "fetch", partial(canonical.fetch, pause=0.01, timeout=5))

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        monkeypatch.setenv("STEADYGAN_MIRROR", f"http://127.0.0.1:{server.server_address[1]}/")
        yield root
        server.shutdown()
        thread.join()


def test_download_with_progress_then_from_the_cache(mirror: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    config = DataConfig(split="all")
    images, labels, _, facts = load_canonical(
        "mnist", config, cache=tmp_path / "cache", progress=lambda *step: told.append(step)
    )
    assert np.array_equal(images[:, 0], np.concatenate([TRAIN, TEST])) and len(labels) == 40
    assert facts["folder"] == str(tmp_path / "cache" / "downloads" / "mnist")
    assert {name for name, done, total in told if done == total} == {f"{name}.gz" for name in mnist_bytes()}
    for file in (mirror / "mnist").iterdir():
        file.unlink()
    assert len(load("mnist", tmp_path / "cache")[0]) == 30


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("truncated", "not the expected file"),
        ("tampered", "md5 is wrong: damaged or tampered with"),
        ("missing", "HTTP 404"),
    ],
)
def test_bad_download_ends_in_one_line_and_leaves_nothing(mirror: Path, tmp_path: Path, kind: str, words: str) -> None:
    file = mirror / "mnist" / "train-labels-idx1-ubyte.gz"
    body = file.read_bytes()
    if kind == "missing":
        file.unlink()
    else:
        file.write_bytes(body[:-9] if kind == "truncated" else body[:-9] + b"!" + body[-8:])
    line = refused("mnist", tmp_path / "cache", download=True)
    folder = tmp_path / "cache" / "downloads" / "mnist"
    assert words in line and "/mnist/train-labels-idx1-ubyte.gz" in line
    assert f"put train-labels-idx1-ubyte.gz into {folder} yourself" in line
    assert [path.name for path in folder.iterdir()] == ["train-images-idx3-ubyte.gz"]
    # Mended at the source, the second run fetches only what is missing.
    file.write_bytes(body)
    assert len(load("mnist", tmp_path / "cache", download=True)[0]) == 30


def test_table_is_complete() -> None:
    for name, known in CANONICAL.items():
        assert len(known.label_names) == 10 and known.licence
        assert all(base.startswith("http") and base.endswith("/") for base in known.mirrors), name
        for file in (file for part in known.parts.values() for file in part):
            assert file.size > 0 and len(file.md5) == 32
