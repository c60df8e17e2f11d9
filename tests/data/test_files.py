"""Finding images in folders and zips, and labels from sub-folders."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from steadygan.data.decode import Unreadable
from steadygan.data.files import folder_labels, list_folder, list_zip
from steadygan.errors import SteadyganError


def picture(path: Path, shade: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8), shade).save(path)
    return path


def packed(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def test_a_folder_is_listed_sorted_and_hidden_things_are_left_out(tmp_path: Path) -> None:
    for name in ("b/2.PNG", "a/1.png", ".hidden/3.png", "__MACOSX/4.png", "._5.png"):
        picture(tmp_path / name)
    (tmp_path / "notes.txt").write_text("words")
    found = list_folder(tmp_path)
    assert found.names == ["a/1.png", "b/2.PNG"]
    assert found.ignored == 1


def test_a_link_that_leads_back_is_entered_once(tmp_path: Path) -> None:
    picture(tmp_path / "a" / "1.png")
    (tmp_path / "a" / "again").symlink_to(tmp_path, target_is_directory=True)
    assert list_folder(tmp_path).names == ["a/1.png"]


def test_the_stamp_changes_with_what_may_change_the_content(tmp_path: Path) -> None:
    path = picture(tmp_path / "1.png")
    os.utime(path, ns=(0, 1_000))
    stamps = [list_folder(tmp_path).stamp]
    assert list_folder(tmp_path).stamp == stamps[0]
    os.utime(path, ns=(0, 2_000))
    stamps.append(list_folder(tmp_path).stamp)
    path.chmod(0o600 if path.stat().st_mode & 0o77 else 0o644)
    stamps.append(list_folder(tmp_path).stamp)
    path.rename(tmp_path / "2.png")
    stamps.append(list_folder(tmp_path).stamp)
    picture(tmp_path / "3.png")
    stamps.append(list_folder(tmp_path).stamp)
    assert len(set(stamps)) == len(stamps)


@pytest.mark.parametrize(
    ("names", "labels", "classes"),
    [
        (["a/1.png", "a/2.png", "b/1.png"], [0, 0, 1], ("a", "b")),
        (["set/a/1.png", "set/b/1.png"], [0, 1], ("a", "b")),
        (["1.png", "a/1.png", "b/1.png"], None, ()),
        (["a/1.png", "a/2.png"], None, ()),
        (["1.png", "2.png"], None, ()),
        (["a/1.png", "b/c/1.png"], None, ()),
        (["test/A/1.png", "train/A/1.png"], None, ()),
    ],
)
def test_sub_folders_are_labels_only_when_all_images_lie_right_in_them(
    names: list[str], labels: list[int] | None, classes: tuple[str, ...]
) -> None:
    found, words = folder_labels(names)
    assert (None if found is None else found.tolist()) == labels
    assert words == classes


def test_a_zip_is_read_in_place_and_paths_that_lead_out_are_refused(tmp_path: Path) -> None:
    data = picture(tmp_path / "1.png").read_bytes()
    bad = ("../evil.png", "/etc/evil.png", "a/../../evil.png", "C:/evil.png", "..\\evil.png")
    good = dict.fromkeys(("set/a.png", "set/b.PNG", "__MACOSX/set/._a.png", "set/.c.png"), data)
    path = packed(tmp_path / "set.zip", good | dict.fromkeys(bad, data) | {"set/readme.txt": b"words"})
    before = sorted(tmp_path.rglob("*"))
    found = list_zip(path)
    assert found.names == ["set/a.png", "set/b.PNG"]
    assert sorted(name for name, _ in found.refused) == sorted(name.replace("\\", "\\") for name in bad)
    assert all("leads out of the zip" in reason for _, reason in found.refused)
    assert found.ignored == 1
    assert found.read("set/a.png") == data
    assert sorted(tmp_path.rglob("*")) == before
    found.close()


def test_a_damaged_or_locked_zip_entry_is_unreadable_not_fatal(tmp_path: Path) -> None:
    path = packed(tmp_path / "set.zip", {"a.png": b"x" * 100, "b.png": b"y" * 100})
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"x" * 100) + 5] = 0
    path.write_bytes(raw)
    found = list_zip(path)
    with pytest.raises(Unreadable, match="cannot be unpacked: Bad CRC"):
        found.read("a.png")
    assert found.read("b.png") == b"y" * 100
    found.close()
    for place in (raw.index(b"PK\3\4") + 6, raw.index(b"PK\1\2") + 8):
        raw[place] |= 1  # the flag of encryption
    path.write_bytes(raw)
    locked = list_zip(path)
    with pytest.raises(Unreadable, match="cannot be unpacked.*encrypted"):
        locked.read("a.png")
    locked.close()


def test_a_zip_bomb_is_refused_by_what_its_entry_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steadygan.data.files.MAX_BYTES", 1000)
    path = packed(tmp_path / "set.zip", {"a.png": bytes(2000)})
    found = list_zip(path)
    with pytest.raises(Unreadable, match="2000 bytes unpacked, more than 1000"):
        found.read("a.png")
    found.close()


def test_nothing_to_read_is_said_in_one_line(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SteadyganError, match="empty is empty: put images into it"):
        list_folder(empty)
    (empty / "notes.txt").write_text("words")
    with pytest.raises(SteadyganError, match="holds 1 files but no images: give one with PNG"):
        list_folder(empty)
    with pytest.raises(SteadyganError, match="set.zip is empty"):
        list_zip(packed(tmp_path / "set.zip", {}))
    with pytest.raises(SteadyganError, match="no images that may be read .1 entries lead out"):
        list_zip(packed(tmp_path / "out.zip", {"../a.png": b"x"}))
    (tmp_path / "no.zip").write_bytes(b"not a zip")
    with pytest.raises(SteadyganError, match=r"no\.zip is not a zip, or it is broken"):
        list_zip(tmp_path / "no.zip")


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "a" / "1.png")
    real = os.scandir

    def deny(path: Path) -> object:
        if str(path).rstrip("/").endswith("/a"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", deny)
    with pytest.raises(SteadyganError, match=r"cannot read the folder .*/a: Permission denied: check its permissions"):
        list_folder(tmp_path)
