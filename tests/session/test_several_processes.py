"""Several processes play the game that one plays: the same trajectory, the same decisions, one folder, one end."""

from __future__ import annotations

import importlib.util
import json
import math
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from steadygan.game import checkpoint
from steadygan.recipes import RECIPES


def _sibling(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"tests_session_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


playing = _sibling("playing")
TOLERANCE = 1e-10
"""In float64; the batch is added up in another order, and nothing else differs."""

PENALTIES = (
    *("gradient", "gradient-zero", "gradient-one-sided", "dragan"),
    *("r1", "r2", "r1-approximate", "r2-approximate"),
)
BROAD: dict[str, tuple[str, ...]] = {
    "statistics of a batch under penalties": (
        *("dcgan", "penalties.r1.weight=1", "penalties.gradient.weight=5", "discriminator.network.dropout=0.3"),
        *("discriminator.network.normalisation=batch", "discriminator.network.minibatch_std=true"),
        "discriminator.network.minibatch_discrimination=true",
    ),
    "relativistic averages, top-k, label maps": ("cgan", "loss=relativistic-average", "top_k=0.5", "accumulate=2"),
    "matching and what a run remembers": (
        *("dcgan", "feature_matching=0.5", "lecam=0.3", "label_flipping=0.2", "data.flip=true"),
        "generator.historical_averaging=0.1",
    ),
    "lazy penalties, noise, packs": (
        *("dcgan", "penalties.dragan.weight=2", "penalties.dragan.every=2", "packing=2", "instance_noise=0.3"),
        *("discriminator.steps=2", "share_fakes=false"),
    ),
    "virtual batch": (
        *("dcgan", "generator.network.normalisation=virtual-batch", "penalties.r2.weight=1"),
        "discriminator.network.normalisation=virtual-batch",
    ),
    "adaptive augmentation": (
        *("r3", "augmentation.speed=100", "augmentation.target=0.01"),
        'augmentation.policy=["ada"]',
    ),
    "codes": ("infogan",),
    "several generators": ("mad-gan",),
    "style noise": ("style",),
    "unrolled": ("unrolled",),
}
LOSSES = {f"loss {name}": ("mlp", f"loss={name}") for name in ("relativistic-average", "hinge", "wasserstein", "f-kl")}
EACH = {f"penalty {name}": ("dcgan", f"penalties.{name}.weight=1") for name in PENALTIES} | LOSSES
WIDE = {name: (name,) for name in RECIPES} | EACH


def played(count: int, jobs: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """What each of ``count`` processes found."""
    (folder / "jobs.json").write_text(json.dumps(jobs))
    here = playing.group(count, str(playing.HERE), str(folder / "jobs.json"), str(folder / "found"))
    for code, words in playing.ended(here, 1500):
        assert code == 0, words[-2000:]
    return [torch.load(folder / f"found.{rank}", weights_only=True) for rank in range(count)]


def jobs_of(cases: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    return {name: {"recipe": case[0], "given": list(case[1:])} for name, case in cases.items()}


def farthest(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The largest difference of two trajectories, in tensors and in records; infinite where they differ in kind."""
    if one["tensors"].keys() != other["tensors"].keys() or len(one["records"]) != len(other["records"]):
        return math.inf
    pairs = [(one["tensors"][name], other["tensors"][name]) for name in one["tensors"]]
    apart = [float((first.double() - second.double()).abs().max()) for first, second in pairs if first.numel()]
    for first, second in zip(one["records"], other["records"], strict=True):
        if first.keys() != second.keys():
            return math.inf
        # the length of a gradient may be any number: what counts is how many of its digits agree
        apart += [abs(first[name] - second[name]) / max(1.0, abs(first[name])) for name in first]
    return max(apart)


def compare(cases: dict[str, tuple[str, ...]], found: list[dict[str, Any]]) -> None:
    jobs = jobs_of(cases)
    alone = {name: playing.play(job) for name, job in jobs.items()}
    apart = {name: farthest(alone[name], found[0][name]) for name in cases}
    assert {name: value for name, value in apart.items() if not value < TOLERANCE} == {}
    for other in found[1:]:
        assert {name for name in cases if farthest(found[0][name], other[name]) > 0} == set()


def test_two_processes_play_the_same_trajectory_as_one(runs: dict[str, Any]) -> None:
    compare(BROAD, runs["found"])


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("count", [2, 4])
def test_any_number_of_processes_plays_the_same_trajectory(count: int, tmp_path: Path) -> None:
    # four of them share a batch of 8: a pack of two is the least that each may have
    cases = BROAD | WIDE
    compare(cases, played(count, jobs_of(cases), tmp_path))


CHOICES: dict[str, tuple[str, ...]] = {
    "loss": ("non-saturating", "hinge", "relativistic", "relativistic-average", "least-squares", "f-kl"),
    "packing": ("1", "1", "2"),
    "accumulate": ("1", "1", "2"),
    "top_k": ("1", "1", "0.6"),
    "lecam": ("0", "0.3"),
    "feature_matching": ("0", "0.5"),
    "label_flipping": ("0", "0.2"),
    "instance_noise": ("0", "0.2"),
    "share_fakes": ("true", "false"),
    "data.flip": ("true", "false"),
    "channels_last": ("true", "false"),
    "discriminator.steps": ("1", "2"),
    "augmentation.strength": ("0", "0.7"),
    "augmentation.policy": ('["ada"]', '["diffaugment"]', '["colour","geometric"]'),
    "generator.network.normalisation": ("batch", "instance", "none", "virtual-batch"),
    "discriminator.network.normalisation": ("batch", "layer", "none"),
    "discriminator.network.dropout": ("0", "0.3"),
    "discriminator.network.noise": ("0", "0.3"),
    "discriminator.network.minibatch_std": ("true", "false"),
    "discriminator.network.minibatch_discrimination": ("true", "false"),
    "discriminator.clip_norm": ("0", "0.5"),
    "latent.distribution": ("normal", "uniform", "sphere"),
}


PLAIN = tuple(
    f"{player}.optimizer.{text}"
    for player in ("generator", "discriminator")
    for text in ("name=sgd", "learning_rate=1e-5")
)
"""Adam's first steps are as long for a gradient that is rounding alone as for any other."""


def mixed(count: int) -> dict[str, tuple[str, ...]]:
    """Games with settings that chance has put together; one that cannot be is refused by one process and by two."""
    chance, cases = random.Random(7), dict[str, tuple[str, ...]]()
    for number in range(count):
        given = [f"{name}={chance.choice(values)}" for name, values in CHOICES.items() if chance.random() < 0.5]
        penalties = [f"penalties.{name}.weight={chance.choice(('0.5', '3'))}" for name in chance.sample(PENALTIES, 2)]
        recipe = chance.choice(("dcgan", "dcgan", "r3", "sngan", "cgan", "cgan-projection", "progressive"))
        cases[f"{number}: {recipe} {' '.join(given + penalties)}"] = (recipe, *PLAIN, *given, *penalties)
    return cases


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_settings_put_together_by_chance_change_nothing(tmp_path: Path) -> None:
    cases = mixed(60)
    found = played(2, jobs_of(cases), tmp_path)
    refused = {name for name in cases if "error" in found[0][name]}
    assert {name for name in refused if found[0][name] != playing.play(jobs_of(cases)[name])} == set()
    assert len(refused) < len(cases) / 3
    compare({name: case for name, case in cases.items() if name not in refused}, found)


def lines(run: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / name).read_text().splitlines()]


def like(one: Any, other: Any) -> bool:
    """Whether two lines are the same but for the last digits."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(like(one[key], other[key]) for key in one)
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(like, one, other))
    return bool(one == other)


SLOWER = {"wish": "turn", "by": "anna", "control": "learning_rate.generator", "factor": 0.25}
BACK = {"wish": "back", "by": "ben", "to": "healthy"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, _own_cache: None) -> dict[str, Any]:
    """What two processes did, one thing after the other: games, and runs that are treated, resumed and refused."""
    folder = tmp_path_factory.mktemp("several")
    treated = {
        "recipe": "mlp",
        "given": ["health.mode=mend", "images=320", "checkpoint_every=64"],
        "sicken": "bursts:3",
    }
    measured = ["evaluate_every=48", "evaluate_features=pixels", "evaluate_count=200"]
    wished = {"recipe": "dcgan", "given": ["health.mode=mend", *measured], "wishes": {"40": SLOWER, "64": BACK}}
    stopped = {"recipe": "dcgan", "given": ["health.mode=watch"]}
    jobs = {
        "treated": treated | {"path": str(folder / "treated")},
        "wished": wished | {"path": str(folder / "wished")},
        "whole": stopped | {"path": str(folder / "whole")},
        "odd batch": {"recipe": "mlp", "given": ["batch=9", "images=90"]},
        "other seed": stopped | {"path": str(folder / "other"), "only": {"1": ["seed=5"]}},
    }
    cut = stopped | {"cut": str(folder / "whole")}
    found = played(2, jobs_of(BROAD) | jobs | {"again": cut | {"path": str(folder / "again")}}, folder)
    for name in ("treated", "wished"):
        playing.play(jobs[name] | {"path": str(folder / f"{name}-by-one")})
    return {"folder": folder, "found": found, "alone": playing.play(cut | {"path": str(folder / "alone")})}


@pytest.mark.parametrize("name", ["treated", "wished"])
def test_health_and_people_decide_as_in_a_run_of_one(name: str, runs: dict[str, Any]) -> None:
    several, one = runs["folder"] / name, runs["folder"] / f"{name}-by-one"
    for file in ("events.jsonl", "records.jsonl", "metrics.jsonl"):
        found, wanted = lines(several, file), lines(one, file)
        assert len(found) == len(wanted)
        assert [(a, b) for a, b in zip(found, wanted, strict=True) if not like(a, b)] == []
    kinds = {event["kind"] for event in lines(several, "events.jsonl")}
    assert kinds >= ({"diagnosis", "intervention"} if name == "treated" else {"wish"})
    assert bool(lines(several, "metrics.jsonl")) == (name == "wished")
    assert any(record["attempt"] for record in lines(several, "records.jsonl"))
    assert runs["found"][0][name]["plain"] == runs["found"][1][name]["plain"]
    tensors = [found[name]["tensors"] for found in runs["found"]]
    assert all(torch.equal(tensors[0][key], tensors[1][key]) for key in tensors[0])


def test_a_run_that_was_stopped_anywhere_ends_in_the_same_bits(runs: dict[str, Any]) -> None:
    whole, again = runs["found"][0]["whole"], runs["found"][0]["again"]
    assert whole["plain"] == again["plain"]
    assert [name for name, one in whole["tensors"].items() if not torch.equal(one, again["tensors"][name])] == []
    assert (runs["folder"] / "whole/records.jsonl").read_bytes() == (
        runs["folder"] / "again/records.jsonl"
    ).read_bytes()


def test_a_run_of_two_goes_on_with_one_on_the_same_way(runs: dict[str, Any]) -> None:
    whole, alone = runs["found"][0]["whole"]["tensors"], runs["alone"]["tensors"]
    weights = [name for name in whole if name.startswith(("players/", "averages/"))]
    assert max(float((whole[name] - alone[name]).abs().max()) for name in weights) < TOLERANCE


def test_what_cannot_be_dealt_or_differs_is_said_in_a_line(runs: dict[str, Any]) -> None:
    for found in runs["found"]:
        assert found["odd batch"]["error"] == "a batch of 9 cannot be dealt evenly to 2 processes: set batch=8"
        assert found["other seed"]["error"].startswith(
            "process 1 has other settings or data than process 0 (seed 5 instead of 0)"
        )
    assert checkpoint.listed(runs["folder"] / "other/checkpoints") == []


TRAIN = (
    *("-m", "steadygan", "train", "digits", "--recipe", "mlp", "--images", "400000", "--threads", "1"),
    *("--health", "off", "--set", "batch=32", "--set", "checkpoint_every=3200", "--set", "record_every=320"),
)


def begun(run: Path, processes: Any, count: int = 2) -> None:
    """Wait until a run has kept some checkpoints."""
    deadline = time.monotonic() + 120
    while len(checkpoint.listed(run / "checkpoints")) < count:
        assert time.monotonic() < deadline and all(one.poll() is None for one in processes), playing.ended(processes, 1)
        time.sleep(0.05)


def test_a_signal_to_one_stops_all_and_a_killed_one_ends_all(tmp_path: Path) -> None:
    run = tmp_path / "run"
    pair = playing.group(2, *TRAIN, "--out", str(run))
    begun(run, pair)
    pair[1].send_signal(signal.SIGTERM)
    found = playing.ended(pair)
    assert [code for code, _ in found] == [128 + signal.SIGTERM] * 2
    assert "everything is saved" in found[0][1] and found[1][1] == ""
    kept = checkpoint.listed(run / "checkpoints")
    pair = playing.group(2, "-m", "steadygan", "resume", str(run), patience=20)
    while checkpoint.listed(run / "checkpoints")[0] == kept[0]:
        assert all(one.poll() is None for one in pair), playing.ended(pair, 1)
        time.sleep(0.05)
    start = time.monotonic()
    pair[1].kill()
    found = playing.ended(pair)
    assert time.monotonic() - start < 60
    assert found[0][0] == 1 and found[1][0] == -signal.SIGKILL
    last = found[0][1].splitlines()[-1]
    assert last.startswith("steadygan: process 0 of 2 has lost the others (connection lost)")
    assert isinstance(checkpoint.read(checkpoint.listed(run / "checkpoints")[0]), dict)


@pytest.mark.slow
def test_a_process_that_hangs_ends_the_others_within_their_patience(tmp_path: Path) -> None:
    run = tmp_path / "run"
    pair = playing.group(2, *TRAIN, "--out", str(run), patience=5)
    begun(run, pair)
    start = time.monotonic()
    pair[0].send_signal(signal.SIGSTOP)
    code, words = playing.ended(pair[1:])[0]
    pair[0].kill()
    playing.ended(pair[:1])
    assert code == 1 and time.monotonic() - start < 60
    assert words.splitlines()[-1].startswith("steadygan: process 1 of 2 has lost the others (no answer for 5 s)")


def test_others_that_never_come_are_told_of(tmp_path: Path) -> None:
    environment = {"WORLD_SIZE": "2"}
    (alone,) = playing.group(1, *TRAIN, "--out", str(tmp_path / "run"), patience=2, environment=environment)
    ((code, words),) = playing.ended([alone])
    assert code == 1
    assert words.splitlines()[-1].startswith("steadygan: process 0 of 2 could not join the others at 127.0.0.1:")
    assert not (tmp_path / "run").exists()
