"""``steadygan evaluate`` and ``steadygan compare``: what is printed, what is kept, what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

QUICK = ("--features", "pixels", "--count", "100", "--seeds", "2")


def test_a_run_is_measured(call: Any, run: Path) -> None:
    said = call("evaluate", run, *QUICK, "--metrics", "fid,prdc")
    rows = said.rows()
    for name in ("fid", "precision", "recall", "density", "coverage"):
        assert name in rows
    assert "±" in rows["fid"] and "lower" in rows["fid"]
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert rows["protocol"] == lines[0]["protocol_hash"]
    assert f"{lines[0]['value']:.4g}" in rows["fid"]
    assert f"{lines[0]['floor']:.4g}" in rows["fid"]
    assert "100 of 8x8x1, averaged generator, seeds 0, 1" in rows["fakes"]
    assert "note: 100 images are few" in said.out


def test_what_sample_writes_measures_as_the_run(call: Any, run: Path) -> None:
    call("sample", run, "--count", "64", "--npz", "--out", "made.npz").fine()
    call("sample", run, "--count", "64", "--folder", "--out", "made").fine()
    flags = ("--features", "pixels", "--count", "64", "--seeds", "1", "--metrics", "kid")
    first = call("evaluate", run, *flags).rows()["kid"]
    for what in ("made.npz", "made"):
        assert call("evaluate", what, "--against", "digits", *flags).rows()["kid"] == first


def test_colour_images_against_others(call: Any, images: Path) -> None:
    other = Path(shutil.copytree(images, "other"))
    rows = call("evaluate", images, "--against", other, "--features", "random", "--metrics", "kid,spectrum").rows()
    assert {"kid", "spectrum", "checkerboard"} <= set(rows)


def test_data_settings_reach_the_reals(call: Any, run: Path) -> None:
    flags = ("--metrics", "kid", "--features", "pixels", "--seeds", "1")
    assert "all" not in call("evaluate", run, *flags).rows()["reals"]
    said = call("evaluate", run, *flags, "--set", "data.held_out=0.5").rows()
    assert said["fakes"].startswith("4")


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("RUN --metrics fdi", "unknown metric 'fdi': did you mean 'fid'?"),
        ("RUN --features pixel", "unknown features 'pixel': did you mean 'pixels'?"),
        ("RUN --features dino", "the features 'dino' need a file of DINOv2 weights"),
        ("RUN --features judge:nowhere", "no judge at nowhere"),
        ("RUN --count 3", "3 fake image(s) are too few to measure"),
        ("RUN --seeds 0", "0 seeds: ask for at least 1"),
        ("RUN --set batch=3", "'batch' is no data setting"),
        ("RUN --against nowhere/at/all", "does not exist"),
        ("RUN --metrics is --features pixels", "know no classes"),
        ("nowhere.npz --against digits", "does not exist"),
        ("few.npz --against digits", "few.npz holds 3 image(s), too few to measure"),
        ("few.npz", "few.npz is no run, so its reals are not known"),
        ("sizes --against digits", "have several sizes: 8x8 (11), 9x8 (1)"),
        ("empty --against digits", "is empty"),
        ("range.npz --against digits", "range.npz"),
    ],
)
def test_what_cannot_be_measured_is_answered_in_one_line(call: Any, run: Path, words: str, answer: str) -> None:
    Path("empty").mkdir()
    Path("sizes").mkdir()
    for number in range(12):
        Image.new("L", (9 if number == 5 else 8, 8)).save(f"sizes/{number:02}.png")
    np.savez("few.npz", images=np.zeros((3, 8, 8, 1), np.uint8))
    np.savez("range.npz", images=np.full((20, 8, 8, 1), 7.5, np.float32))
    said = call("evaluate", *words.replace("RUN", str(run)).split())
    assert answer in said.fault()
    assert said.status == 2
    assert (run / "metrics.jsonl").read_text() == ""


def test_weights_that_cannot_be_had_are_a_failure_not_a_misuse(
    call: Any, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from steadygan.evaluation.features import pretrained

    monkeypatch.setattr(
        pretrained.load_inception,
        "__kwdefaults__",
        {**(pretrained.load_inception.__kwdefaults__ or {}), "url": "http://127.0.0.1:9/none"},
    )
    monkeypatch.setattr("steadygan.data.download.time.sleep", lambda seconds: None)
    said = call("evaluate", run, "--features", "inception")
    assert "--features inception:FILE" in said.fault()
    assert said.status == 1


def test_runs_are_compared_and_drawn(call: Any, run: Path, trained: Path) -> None:
    other = Path(shutil.copytree(trained, "other"))
    for path in (run, other):
        call("evaluate", path, *QUICK, "--metrics", "kid").fine()
    said = call("compare", run, other)
    rows = said.rows()
    assert rows["images seen"].split() == ["256", "256"]
    assert rows["kid"].count("floor") == 2
    assert {"recipe", "health", "discriminator/loss", "generator/loss"} <= set(rows)
    picture = Path(said.out.splitlines()[-1].split(": ")[1])
    assert picture.parent == Path("runs")
    with Image.open(picture) as drawn:
        assert drawn.width > drawn.height > 100
    assert "WARNING" not in said.out
    call("compare", run, other, run, "--out", "three.png").fine()
    with Image.open("three.png") as three, Image.open(picture) as two:
        assert three.width > two.width


def test_values_of_other_protocols_are_not_put_side_by_side(call: Any, run: Path, trained: Path) -> None:
    other = Path(shutil.copytree(trained, "other"))
    call("evaluate", run, *QUICK, "--metrics", "fid").fine()
    call("evaluate", other, "--features", "pixels", "--count", "90", "--seeds", "2", "--metrics", "fid").fine()
    said = call("compare", run, other)
    assert "fid" not in said.rows()
    assert "WARNING: fid is NOT compared, the protocols differ: real is 100 and 90; fake is 100 and 90" in said.fine()


def test_runs_without_metrics_are_compared_all_the_same(call: Any, run: Path, trained: Path) -> None:
    assert "no metrics yet" in call("compare", run, trained).fine()


def test_what_cannot_be_compared_is_answered_in_one_line(call: Any, run: Path) -> None:
    assert call("compare", run).fault() == "nothing to compare: name two or more runs"
    assert "no run at nowhere" in call("compare", run, "nowhere").fault()
    Path("there.png").touch()
    assert "there.png exists" in call("compare", run, run, "--out", "there.png").fault()
    (run / "metrics.jsonl").write_text('{"metric": "fid"}\n')
    assert "metrics.jsonl is damaged" in call("compare", run, run).fault()
