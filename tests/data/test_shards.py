"""Shards: the same set as a folder of the same images, read in place; and every way in which they can be bad."""

from __future__ import annotations

import dataclasses
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from steadygan.config import DataConfig
from steadygan.data import DataSet, open_data, shelf
from steadygan.data.lazy import Members
from steadygan.data.order import Order, ReadAhead
from steadygan.data.split import row_hashes
from steadygan.errors import SteadyganError


def pictures(count: int, size: tuple[int, int] = (12, 12), seed: int = 0) -> Iterator[bytes]:
    generator = np.random.default_rng(seed)
    for _ in range(count):
        file = io.BytesIO()
        Image.fromarray(generator.integers(0, 256, (*size, 3), dtype=np.uint8)).save(file, "PNG")
        yield file.getvalue()


def pack(path: Path, members: Mapping[str, bytes], form: int = tarfile.USTAR_FORMAT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def samples(images: list[bytes], first: int = 0, label: str | None = "cls") -> dict[str, bytes]:
    """Members of a shard; the class of each image is its number modulo 3."""
    made: dict[str, bytes] = {}
    for number, data in enumerate(images, first):
        if label == "cls":
            made[f"{number:05d}.cls"] = str(number % 3).encode()
        elif label is not None:
            made[f"{number:05d}.json"] = json.dumps({label: number % 3, "deep": {"name": f"k{number % 2}"}}).encode()
        made[f"{number:05d}.png"] = data
    return made


def shards(folder: Path, count: int = 3, each: int = 20, **settings: Any) -> list[bytes]:
    """``count`` shards of ``each`` images; the images."""
    images = list(pictures(count * each))
    for number in range(count):
        part = images[number * each : (number + 1) * each]
        pack(folder / f"{number:03d}.tar", samples(part, number * each, **settings))
    return images


def opened(source: object, tmp_path: Path, **settings: Any) -> DataSet:
    return open_data(DataConfig(source=str(source), **settings), cache=tmp_path / "cache", workers=1)


def test_shards_and_a_folder_of_the_same_images_are_the_same_set(tmp_path: Path) -> None:
    images = shards(tmp_path / "shards")
    for number, data in enumerate(images):
        place = tmp_path / "folder" / str(number % 3) / f"{number:05d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    tars, folder = opened(tmp_path / "shards", tmp_path), opened(tmp_path / "folder", tmp_path)
    assert tars.label_names == folder.label_names == ("0", "1", "2")
    assert tars.labels is not None and folder.labels is not None
    assert tars.labels.tolist() == [number % 3 for number in range(60)]
    order = np.argsort(np.array([number % 3 for number in range(60)]), kind="stable")  # a folder is read class by class
    assert (tars.images[order] == folder.images[:]).all()
    flat = opened(tmp_path / "folder", tmp_path, image_size=(8, 8), channels=1)
    assert (opened(tmp_path / "shards", tmp_path, image_size=(8, 8), channels=1).images[order] == flat.images[:]).all()
    held = {data.images[row].tobytes() for data in (tars,) for row in data.held_out}
    assert held == {folder.images[row].tobytes() for row in folder.held_out}


def test_nothing_decoded_is_kept(tmp_path: Path) -> None:
    shards(tmp_path / "shards")
    data = opened(tmp_path / "shards", tmp_path)
    assert isinstance(data.images, Members)
    stored = sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert stored == ["hashes.npy", "index.json", "labels.npy", "places.npy"]


def test_hashes_of_rows_are_those_of_the_cache_and_read_no_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards(tmp_path / "shards")
    data = opened(tmp_path / "shards", tmp_path)
    rows = np.array([7, 0, 59, 7])
    expected = row_hashes(data.rows(rows).numpy())
    assert (dataclasses.replace(data, hashes=None).hashes_of(rows) == expected).all()
    monkeypatch.setattr(Members, "_decoded", None)
    assert (data.hashes_of(rows) == expected).all()


def test_a_second_start_looks_through_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards(tmp_path / "shards")
    first = opened(tmp_path / "shards", tmp_path)
    monkeypatch.setattr("steadygan.data.shards.scan", None)
    again = opened(tmp_path / "shards", tmp_path)
    assert again.fingerprint == first.fingerprint
    assert (again.rows([5, 59, 5]) == first.rows([5, 59, 5])).all()


@pytest.mark.parametrize("pattern", ["", "{000..002}.tar", "{000,001,002}.tar", "*.tar", "00{0..2}.tar"])
def test_ways_to_name_shards(tmp_path: Path, pattern: str) -> None:
    shards(tmp_path / "shards")
    data = opened(f"{tmp_path}/shards/{pattern}", tmp_path)
    assert (len(data), data.facts["shards"]) == (60, 3)


def test_one_shard(tmp_path: Path) -> None:
    shards(tmp_path / "shards")
    assert len(opened(tmp_path / "shards" / "001.tar", tmp_path)) == 20


def test_a_folder_of_images_stays_one_when_a_tar_lies_in_it(tmp_path: Path) -> None:
    shards(tmp_path / "set")
    (tmp_path / "set" / "one.png").write_bytes(next(pictures(1)))
    assert opened(tmp_path / "set", tmp_path, held_out=0.0).facts["kind"] == "folder"


def test_rows_are_read_as_those_of_an_array(tmp_path: Path) -> None:
    shards(tmp_path / "shards")
    images = opened(tmp_path / "shards", tmp_path).images
    whole = images[:]
    assert whole.shape == images.shape == (60, 3, 12, 12)
    assert (images[7] == whole[7]).all()
    assert (images[-1] == whole[-1]).all()
    assert (images[10:50:3] == whole[10:50:3]).all()
    wanted = np.random.default_rng(0).integers(-60, 60, 40)
    assert (images[wanted] == whole[wanted]).all()
    assert images[np.empty(0, np.int64)].shape == (0, 3, 12, 12)
    with pytest.raises(IndexError, match="row 60 of 60"):
        images[np.array([3, 60])]


def test_what_is_expected_is_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards(tmp_path / "shards")
    images = opened(tmp_path / "shards", tmp_path).images
    assert isinstance(images, Members)
    monkeypatch.setattr("steadygan.data.lazy.WAITING", 6 * 16 * 3 * 12 * 12)
    whole, generator = images[:], np.random.default_rng(1)
    batches = [generator.integers(0, 60, 16) for _ in range(9)]
    for batch in batches:
        images.expect(batch)
        images.soon(batch)
    assert len(images._waiting) == 6
    joined = np.concatenate([batches[6], batches[7], [1, 2, 3]])  # as micro-batches are
    for batch in [joined, *batches, *batches]:  # some are waiting, some have been pushed out, some never were expected
        assert (images[batch] == whole[batch]).all()


def test_the_order_depends_on_the_place_alone_and_reads_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "BLOCK", 16384)
    monkeypatch.setattr("steadygan.data.lazy.BLOCK", 16384)
    monkeypatch.setattr("steadygan.data.order.WINDOW", 4)
    shards(tmp_path / "shards", each=40)
    data = opened(tmp_path / "shards", tmp_path)
    assert isinstance(data.images, Members)
    order = data.order(3)
    assert isinstance(order, ReadAhead)
    through = np.concatenate([order.take(position, 10, attempt=1) for position in range(0, 400, 10)])
    assert (data.order(3).take(137, 50, attempt=1) == through[137:187]).all()
    halves = [data.order(3).take(40, 16, attempt=1, rank=rank, world=2) for rank in (0, 1)]
    assert (np.concatenate(halves) == through[40:56]).all()
    assert sorted(through[: len(data.train)]) == data.train.tolist()
    # within a window as many blocks as it holds, in all epochs others
    near = data.images.blocks[through[:12]]
    assert len(set(near.tolist())) <= 4 < len(set(data.images.blocks.tolist()))
    plain = Order(data.train, 3).take(0, 60, attempt=1)
    assert (plain != through[:60]).any()


def test_labels_from_a_field_of_json(tmp_path: Path) -> None:
    shards(tmp_path / "shards", label="label")
    data = opened(tmp_path / "shards", tmp_path)
    assert data.label_names == ("0", "1", "2")
    named = opened(tmp_path / "shards", tmp_path, label_field="deep.name")
    assert named.label_names == ("k0", "k1")
    none = opened(tmp_path / "shards", tmp_path, label_field="nothing")
    assert (none.labels, none.classes) == (None, 0)
    assert "'nothing' in json" in none.facts["labels"]


def test_numbers_are_classes_in_the_order_of_their_values(tmp_path: Path) -> None:
    images = list(pictures(4))
    pack(tmp_path / "a.tar", {f"{n}.{end}": d for n, v in enumerate(("10", "9", "-1", "9")) for end, d in
                              (("png", images[n]), ("cls", v.encode()))})  # fmt: skip
    data = opened(tmp_path / "a.tar", tmp_path, held_out=0.0)
    assert data.label_names == ("-1", "9", "10")
    assert data.labels is not None and data.labels.tolist() == [2, 1, 0, 1]


def test_samples_without_a_label_are_set_aside_where_others_have_one(tmp_path: Path) -> None:
    images = list(pictures(30))
    members = samples(images)
    del members["00007.cls"]
    pack(tmp_path / "a.tar", members)
    data = opened(tmp_path / "a.tar", tmp_path)
    assert len(data) == 29
    assert data.quarantine == ((f"{tmp_path / 'a.tar'}: 00007.png", "it has no label, while others have"),)
    for number in range(10):
        members.pop(f"{number:05d}.cls", None)
    pack(tmp_path / "b.tar", members)
    with pytest.raises(SteadyganError, match=r"10 of 30 images .* has no label"):
        opened(tmp_path / "b.tar", tmp_path)


def test_a_broken_image_is_set_aside(tmp_path: Path) -> None:
    images = list(pictures(30))
    images[4], images[9] = images[4][:-40], b""
    pack(tmp_path / "a.tar", samples(images))
    data = opened(tmp_path / "a.tar", tmp_path)
    assert [path.rpartition(": ")[2] for path, _ in data.quarantine] == ["00004.png", "00009.png"]
    assert "0 bytes" in data.quarantine[1][1]
    assert len(data.images[:]) == len(data) == 28
    assert data.labels is not None and data.labels.tolist() == [n % 3 for n in range(30) if n not in (4, 9)]


def test_an_absurdly_large_member_is_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = list(pictures(20))
    images[5] = next(pictures(1, (40, 40)))
    pack(tmp_path / "a.tar", samples(images))
    monkeypatch.setattr("steadygan.data.lazy.MAX_BYTES", len(images[5]) - 1)
    data = opened(tmp_path / "a.tar", tmp_path)
    ((name, reason),) = data.quarantine
    assert name.endswith("00005.png")
    assert reason == f"{len(images[5])} bytes, more than {len(images[5]) - 1}"


def test_a_shard_that_is_cut_off_keeps_what_is_whole(tmp_path: Path) -> None:
    shards(tmp_path / "shards")
    path = tmp_path / "shards" / "001.tar"
    path.write_bytes(path.read_bytes()[:12_000])
    data = opened(tmp_path / "shards", tmp_path)
    assert 40 < len(data) < 60
    ((name, reason),) = data.quarantine
    assert name == str(path)
    assert f"behind sample {len(data) - 40} is lost: fetch or pack it again" in reason


def test_a_shard_that_is_broken_in_the_middle_keeps_what_lies_before(tmp_path: Path) -> None:
    shards(tmp_path / "shards")
    path = tmp_path / "shards" / "001.tar"
    data = bytearray(path.read_bytes())
    place = data.index(b"00030.cls")
    data[place : place + 512] = b"?" * 512
    path.write_bytes(bytes(data))
    found = opened(tmp_path / "shards", tmp_path)
    assert len(found) == 50
    assert "broken in the middle; what lies behind sample 10 is lost" in found.quarantine[0][1]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "empty"), (b"\x1f\x8b" + b"x" * 600, "compressed"), (b"text " * 300, "broken"), (None, "not there")],
)
def test_a_shard_that_cannot_be_used(tmp_path: Path, content: bytes | None, words: str) -> None:
    shards(tmp_path / "shards")
    path = tmp_path / "shards" / "001.tar"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    source = f"{tmp_path}/shards/{{000..002}}.tar"
    data = opened(source, tmp_path, max_bad=0.4)
    assert len(data) == 40
    assert data.facts["shards_lost"] == 1
    assert data.quarantine[0][0] == str(path)
    assert words in data.quarantine[0][1]
    with pytest.raises(SteadyganError, match="1 of the 3 shards .* raise data.max_bad above 0.333"):
        opened(source, tmp_path)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("none/{000..009}.tar", "no shard is called so"),
        ("none/{9..1}.tar", "names no shards"),
        ("none.tar", "no shard is called so"),
        ("words.tar", "it holds no images"),
        ("words.tar.gz", "compressed"),
        ("strange://bucket/*.tar", "install what fsspec needs"),
        ("memory://nowhere/*.tar", "holds no .tar shards"),
        ("memory://nowhere/{0..3}.tar", "none of the 4 shards"),
    ],
)
def test_nothing_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, words: str) -> None:
    pack(tmp_path / "words.tar", {"a.txt": b"words", "b.json": b"{"})
    (tmp_path / "words.tar.gz").write_bytes(b"\x1f\x8b" + b"x" * 600)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SteadyganError, match=words):
        opened(source, tmp_path)


def test_a_shard_that_changes_under_a_run_is_named(tmp_path: Path) -> None:
    shards(tmp_path / "shards")
    data = opened(tmp_path / "shards", tmp_path)
    path = tmp_path / "shards" / "001.tar"
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(SteadyganError, match=r"001\.tar.*now cannot"):
        data.rows(np.arange(60))
    path.unlink()
    with pytest.raises(SteadyganError, match=r"001\.tar.*No such file"):
        data.rows([25])
    order = data.order(0)
    with pytest.raises(SteadyganError, match=r"001\.tar.*No such file"):  # by the threads that read ahead
        data.rows(order.take(0, 40))


def test_long_names_hidden_members_and_further_members(tmp_path: Path) -> None:
    images = list(pictures(6))
    members = {f"{'folder/' * 20}{n:05d}.png": data for n, data in enumerate(images)}
    members |= {f"{'folder/' * 20}00005.seg.png": images[0], "._00001.png": b"junk", "x.txt": b"words"}
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        path = pack(tmp_path / f"{form}.tar", members, form)
        data = opened(path, tmp_path, held_out=0.0)
        assert (len(data), data.facts["members_ignored"]) == (6, 2)
        assert data.labels is None


def test_mixed_sizes_are_brought_to_one(tmp_path: Path) -> None:
    images = [*pictures(5, (16, 24)), *pictures(5, (40, 32))]
    pack(tmp_path / "a.tar", samples(images, label=None))
    data = opened(tmp_path / "a.tar", tmp_path)
    assert "median shorter side" in data.facts["size"]
    assert data.facts["sizes_found"] == {"24x16": 5, "32x40": 5}


def test_domains_of_shards_are_a_cache_as_those_of_any_set(tmp_path: Path) -> None:
    shards(tmp_path / "shards")
    plain = opened(tmp_path / "shards", tmp_path)
    data = open_data(
        DataConfig(source=str(tmp_path / "shards"), domains=("plain", "negative")), cache=tmp_path / "cache"
    )
    assert data.labels is not None
    turned = np.where(data.labels[:, None, None, None] == 1, 255 - plain.images[:], plain.images[:])
    assert (data.images[:] == turned).all()
