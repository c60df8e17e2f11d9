"""The gallery shows every illness on the digits, from runs that are not made twice, and quotes what was said."""

from __future__ import annotations

import importlib
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from steadygan.errors import SteadyganError

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def gallery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The script, with small runs and a place of its own."""
    before = dict(sys.modules)
    monkeypatch.syspath_prepend(str(FOLDER))
    module = importlib.import_module("gallery")
    monkeypatch.setattr(module, "WORK", tmp_path / "work")
    monkeypatch.setattr(module, "PICTURES", tmp_path / "pictures")
    small = {name: one for name, one in module.SETTINGS.items() if one.data == "digits"}
    for name, one in small.items():
        monkeypatch.setitem(module.SETTINGS, name, type(one)("digits", "mlp", 1_280, 1.0))
    yield module
    for name in ("gallery", "gallery_pictures", "ward_cells"):
        if name not in before:
            sys.modules.pop(name, None)


def test_every_illness_is_shown_on_the_digits(gallery: ModuleType) -> None:
    cells = gallery.cells(list(gallery.WARD))
    assert {cell.setting for cell in cells} == {"digits-dcgan", "digits-digits"}
    assert len({cell.path for cell in cells}) == len(cells) == 2 * len(gallery.WARD) + 2
    assert [cell.illness for cell in cells[:2]] == ["", ""]
    assert gallery.setting_of("heavy-penalty") == "digits-digits"


def test_a_run_has_the_budget_and_the_check_ups_of_its_setting(gallery: ModuleType) -> None:
    cell = gallery.Cell("digits-dcgan", "tiny-batch", "watch")
    assert gallery.play(cell) == ""
    assert gallery.done(cell)
    config = json.loads((cell.path / "config.json").read_text())
    assert config["images"] == 1280
    assert config["health"]["every"] == 1280 // gallery.CHECK_UPS
    assert config["sicken"] == "tiny-batch:2"


def test_a_run_that_dies_is_drawn_without_samples(gallery: ModuleType) -> None:
    """The illness does not apply to this recipe, so there is no run at all."""
    dead = gallery.Cell("digits-dcgan", "heavy-penalty", "watch")
    assert "no penalty" in gallery.play(dead)
    assert gallery.done(dead)
    assert gallery.shown(dead, "untreated", "#d55e00").images is None


def test_what_is_there_is_not_run_again(gallery: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "CHECK_UPS", 5)
    cells = gallery.cells(["collapse"])
    for cell in cells:
        assert gallery.play(cell) == ""

    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("it was there already")

    monkeypatch.setattr(gallery, "ProcessPoolExecutor", forbidden_unless_idle(forbidden))
    assert gallery.main(["--only", "collapse"]) == 0
    picture = gallery.PICTURES / "collapse.png"
    assert picture.stat().st_size < 120_000
    image = Image.open(io.BytesIO(picture.read_bytes())).convert("RGB")
    assert image.getpixel((image.width - 1, image.height - 1)) == (255, 255, 255)


def forbidden_unless_idle(submit: Any) -> type:
    """A pool that takes no work."""

    class Idle:
        def __init__(self, *_: Any, **__: Any) -> None: ...

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None: ...

        submit = staticmethod(lambda *args: submit(*args))

    return Idle


def test_what_a_run_said_takes_the_place_of_what_is_quoted(gallery: ModuleType, tmp_path: Path) -> None:
    events = [
        {"kind": "diagnosis", "case": 1, "diagnosis": "stall", "images_seen": 900, "words": "no way"},
        {"kind": "diagnosis", "case": 2, "diagnosis": "drift", "images_seen": 12_300, "words": "away"},
        {"kind": "intervention", "case": 2, "diagnosis": "drift", "images_seen": 12_300, "words": "slower"},
        {"kind": "proof", "case": 2, "diagnosis": "drift", "images_seen": 15_000, "words": "ok", "cured": True},
    ]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    said = sys.modules["gallery_pictures"].said(tmp_path)
    assert said == [
        "[12.3k images] drift: away",
        "[12.3k images] drift -> slower",
        "[15k images] drift: proof: ok",
    ]
    page = "before\n<!-- said -->\nold\n<!-- end of said -->\nafter\n"
    found = gallery.quote(page, said)
    assert found == gallery.quote(found, said)
    assert found.startswith("before\n<!-- said -->\n\n```text\n[12.3k")
    assert found.endswith("drift: proof: ok\n```\n\n<!-- end of said -->\nafter\n")
    with pytest.raises(SteadyganError, match="no place"):
        gallery.quote("nothing here\n", said)
