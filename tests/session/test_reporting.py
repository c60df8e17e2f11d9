"""Reports wired: what a run leaves at its end, what is made later, and the command that repeats it."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import steadygan
from steadygan import api
from steadygan.data.dataset import DataSet
from steadygan.errors import SteadyganError
from steadygan.game.round import Record
from steadygan.session import again, keeping
from steadygan.session.running import Run
from steadygan.session.watching import Silent

SMALL = (
    *("threads=1", "batch=16", "sample_count=4", "sample_every=64", "checkpoint_every=64"),
    *("generator.network.hidden=[16]", "discriminator.network.hidden=[16]"),
)
MADE = ("report.html", "data.json", "data.png", "neighbours.json", "neighbours.png", "command.txt")


class Listening(Silent):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def event(self, text: str) -> None:
        self.told.append(text)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reporting") / "run"
    steadygan.train("digits", recipe="mlp", images=256, out=path, set=SMALL)
    return path


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def data_set(count: int = 40, held_out: int = 10, labels: bool = True) -> DataSet:
    source = np.random.default_rng(0)
    images = source.integers(0, 256, (count + held_out, 3, 20, 40), dtype=np.uint8)
    classes = np.arange(count + held_out, dtype=np.int64) % 4 if labels else None
    names = ("a", "b", "c", "d") if labels else ()
    rows = np.arange(count + held_out, dtype=np.int64)
    return DataSet("set", images, classes, names, rows[:count], rows[count:], "f" * 32, {"fit": "crop"}, (("x", "y"),))


def test_a_run_leaves_its_report(finished: Path) -> None:
    assert all((finished / name).is_file() for name in MADE)
    text = (finished / "report.html").read_text()
    assert "It has seen 256 images." in text
    overview = json.loads((finished / "data.json").read_text())
    assert (overview["train"], overview["shape"], overview["classes"]) == (1709, [1, 8, 8], 10)
    assert sum(overview["counts"].values()) == 1709
    near = json.loads((finished / "neighbours.json").read_text())
    assert near["images_seen"] == 256 and near["searched"] == 1709 and 0 <= near["share"] <= 1


def test_what_is_missing_is_made_later_and_to_the_same_bits(run: Path) -> None:
    before = {name: (run / name).read_bytes() for name in MADE if name != "report.html"}
    for name in MADE:
        (run / name).unlink()
    assert steadygan.write_report(run) == run / "report.html"
    assert {name: (run / name).read_bytes() for name in before} == before


def test_neighbours_follow_the_newest_checkpoint(run: Path) -> None:
    near = json.loads((run / "neighbours.json").read_text())
    (run / "neighbours.json").write_text(json.dumps(near | {"images_seen": 64, "space": "old"}))
    steadygan.write_report(run)
    assert json.loads((run / "neighbours.json").read_text()) == near


def test_without_a_checkpoint_or_data_the_page_says_why(run: Path) -> None:
    shutil.rmtree(run / "checkpoints")
    (run / "neighbours.json").unlink()
    assert "has no usable checkpoint" in steadygan.write_report(run).read_text()
    config = json.loads((run / "config.json").read_text())
    config["data"]["source"] = "/no/such/folder"
    (run / "config.json").write_text(json.dumps(config))
    (run / "data.json").unlink()
    text = steadygan.write_report(run).read_text()
    assert "Its figures are not shown: " in text and "/no/such/folder" in text


def test_a_run_that_was_stopped_has_a_report_when_asked(run: Path) -> None:
    lines = (run / "records.jsonl").read_text().splitlines(keepends=True)
    (run / "records.jsonl").write_text("".join(lines[: len(lines) // 2]))
    assert "This run is not finished" in steadygan.write_report(run).read_text()


def test_a_run_that_breaks_off_leaves_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(run: Run, record: Record) -> None:
        if record.images_seen > 100:
            raise SteadyganError("generator/loss became nan", "start again", code=1)

    monkeypatch.setattr(Run, "_must_be_finite", broken)
    given = [*SMALL, "health.mode=off"]
    with pytest.raises(SteadyganError, match="became nan"):
        steadygan.train("digits", recipe="mlp", images=512, out=tmp_path / "run", set=given)
    assert "It has seen 112 of 512 images" in (tmp_path / "run" / "report.html").read_text()


def test_a_report_that_fails_does_not_lose_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keeping, "keep_neighbours", broken)
    watcher = Listening()
    trained = steadygan.train("digits", recipe="mlp", images=64, out=tmp_path / "run", set=SMALL, watcher=watcher)
    assert trained.images_seen == 64
    assert watcher.told[-1] == (
        f"the report could not be written (the disk is full); later: steadygan report {tmp_path / 'run'}"
    )


def test_nothing_is_overwritten_and_no_run_is_no_report(run: Path, tmp_path: Path) -> None:
    (tmp_path / "taken.html").write_text("mine")
    with pytest.raises(SteadyganError, match="nothing is overwritten"):
        steadygan.write_report(run, tmp_path / "taken.html")
    with pytest.raises(SteadyganError, match="nothing to report on"):
        steadygan.write_report([])
    with pytest.raises(SteadyganError, match="no run at"):
        steadygan.write_report(tmp_path / "missing")
    assert (tmp_path / "taken.html").read_text() == "mine"


def test_several_runs_get_a_page_beside_them(run: Path, finished: Path, tmp_path: Path) -> None:
    page = steadygan.write_report([run, finished])
    assert page.parent == run.parent and page.name.startswith("report-")
    assert "2 runs side by side" in page.read_text()
    assert steadygan.write_report([run, finished], tmp_path / "deep" / "page.html").is_file()


def test_examples_take_the_classes_in_turns(tmp_path: Path) -> None:
    data = data_set()
    assert data.labels is not None
    rows = keeping._examples(data)
    assert data.labels[rows].tolist() == [0, 1, 2, 3] * 8 and len(set(rows.tolist())) == 32
    assert set(rows.tolist()) <= set(data.train.tolist())
    assert len(keeping._examples(data_set(5, 0, labels=False))) == 5
    keeping.keep_overview(tmp_path, data)
    found = json.loads((tmp_path / "data.json").read_text())
    assert found["counts"] == {"a": 10, "b": 10, "c": 10, "d": 10} and found["quarantined"] == 1
    assert Image.open(tmp_path / "data.png").mode == "RGB"


def test_copies_are_found_and_shown(tmp_path: Path) -> None:
    """A generator that repeats training images: each is beside itself, and the share tells."""
    data = data_set(400, 100)
    copies = data.rows(data.train[:256]).float() / 127.5 - 1
    keeping.keep_neighbours(tmp_path, data, lambda count, seed: iter([copies[:count]]), 5)
    near = json.loads((tmp_path / "neighbours.json").read_text())
    assert near["share"] == 1.0 and near["by_chance"] == 0.8 and near["z"] > 3
    assert near["distances"] == [0.0] * 8 and near["images_seen"] == 5 and near["space"].endswith("13×6")
    shown = np.asarray(Image.open(tmp_path / "neighbours.png"))
    half = len(shown) // 2
    assert np.array_equal(shown[2:half], shown[half + 1 : -1][: half - 2])


@pytest.mark.parametrize("held_out", [0, 1])
def test_neighbours_where_nothing_was_kept_back(tmp_path: Path, held_out: int) -> None:
    fakes = torch.full((300, 3, 20, 40), torch.nan)
    keeping.keep_neighbours(tmp_path, data_set(40, held_out), lambda count, seed: iter([fakes[:count]]), 5)
    near = json.loads((tmp_path / "neighbours.json").read_text())
    assert "share" not in near and len(near["distances"]) == 8 and near["samples"] == 40


@pytest.mark.parametrize(
    ("recipe", "sicken", "given"),
    [
        ("auto", "", ()),
        ("mlp", "", ("batch=16", "sample_every=64", "checkpoint_every=64", "record_every=64")),
        ("dcgan", "collapse:severe", ("batch=32", "data.flip=true", "data.held_out=0.2")),
        ("wgan-gp", "", ("penalties.r1.weight=2", "generator.optimizer.beta1=0.25", "latent.distribution=uniform")),
        (
            "mlp",
            "",
            ("generator.network.hidden=[16,32]", 'generator.optimizer.learning_rate={"kind": "cosine", "value": 1e-4}'),
        ),
        ("wgan-gp", "", ("penalties.gradient=null", "generator.weight_penalties.l2=0.1")),
        ("r3", "", ("penalties.r1=null", "penalties.r2=null")),
        ("r3", "rate-drift:2", ("evaluate_every=500", 'health.without=["back"]', "keep=7")),
    ],
)
def test_the_command_makes_the_same_run(recipe: str, sicken: str, given: tuple[str, ...]) -> None:
    planned = api.plan("digits", recipe=recipe, images=4000, seed=3, sicken=sicken, set=["threads=1", *given])
    line = again.command(planned.config, api._recipe(planned.config, len(planned.data.train)))
    words = shlex.split(line)
    assert words[:3] == ["steadygan", "train", "digits"]
    flags = {words[i]: words[i + 1] for i in range(3, len(words), 2) if words[i] != "--set"}
    settings = [words[i + 1] for i in range(3, len(words), 2) if words[i] == "--set"]
    repeated = api.plan(
        words[2],
        recipe=flags.pop("--recipe"),
        images=int(flags.pop("--images")),
        seed=int(flags.pop("--seed")),
        sicken=flags.pop("--sicken", ""),
        set=[f"threads={flags.pop('--threads')}", *settings],
    )
    assert flags == {}
    same = {"why": ""}
    assert repeated.config.model_copy(update=same) == planned.config.model_copy(update=same)


def test_no_command_for_a_recipe_that_is_gone(tmp_path: Path) -> None:
    config = api.plan("digits", recipe="mlp", images=100, set=["threads=1"]).config
    foreign = config.model_copy(update={"recipe": "vanished"})
    again.keep(tmp_path, foreign, lambda: api._recipe(foreign, 10))
    assert list(tmp_path.iterdir()) == []


def test_of_a_large_set_a_part_is_looked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "FEWEST", 7)
    monkeypatch.setattr(keeping, "READ", 9 * 3 * 20 * 40)
    monkeypatch.setattr(keeping, "CHUNK_VALUES", 1)
    fakes = torch.zeros((300, 3, 20, 40))
    keeping.keep_neighbours(tmp_path, data_set(100, 10), lambda count, seed: iter([fakes[:count]]), 5)
    near = json.loads((tmp_path / "neighbours.json").read_text())
    assert (near["searched"], near["training"]) == (9, 100)
