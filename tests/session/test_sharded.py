"""Players in shards: the game of whole ones, half the memory, checkpoints that any number of processes reads."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from steadygan.config import constant
from steadygan.errors import SteadyganError
from steadygan.runtime import shards
from steadygan.session import sharding


def _sibling(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"tests_session_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


several = _sibling("test_several_processes")
playing = several.playing

MADE = ("generator.sharded=true",)
BOTH = (*MADE, "discriminator.sharded=true", "penalties={}", "penalties.r1-approximate.weight=1")
CASES: dict[str, tuple[str, ...]] = {
    "generator of vectors": ("mlp", *MADE),
    "both": ("dcgan", *BOTH),
    "both, approximated twice": ("r3", *BOTH, "penalties.r2-approximate.weight=1", *several.PLAIN),
    "spectral norms, labels, matching": (
        *("cgan-projection", *BOTH, *several.PLAIN, "feature_matching=0.5", "discriminator.steps=2"),
        "discriminator.network.minibatch_discrimination=true",
    ),
    "micro-batches, clips and slow weights": (
        *("dcgan", *BOTH, "accumulate=2", "discriminator.clip_norm=0.5", "generator.normalise_gradient=true"),
        *("generator.optimizer.lookahead_every=2", "discriminator.optimizer.lookahead_every=3"),
    ),
}
MORE: dict[str, tuple[str, ...]] = {
    "clipped weights": ("wgan", *BOTH),
    "second derivatives of a whole discriminator": ("r3", *MADE),
    "residual": ("sngan", *BOTH),
    "other optimizers": (
        *("dcgan", *BOTH[:2], "penalties={}", "generator.optimizer.name=sgd"),
        "discriminator.optimizer.name=rmsprop",
    ),
    "optimism": ("dcgan", *BOTH, "generator.optimizer.name=optimistic-adam", "discriminator.optimizer.name=adamw"),
    "two layouts": ("dcgan", *BOTH, "channels_last=true", "share_fakes=false"),
    "a reference batch": ("dcgan", *MADE, "generator.network.normalisation=virtual-batch", "penalties.r2.weight=1"),
    "adaptive augmentation": (
        *("r3", *MADE, "augmentation.speed=100", "augmentation.target=0.01", 'augmentation.policy=["ada"]'),
    ),
}
TREATED = {"recipe": "mlp", "given": ["health.mode=mend", "images=320", "checkpoint_every=64"], "sicken": "bursts:3"}
LIMITED = {"wish": "turn", "by": "anna", "control": "max_gain.generator", "shift": 0.9}
STEADIER = {"wish": "turn", "by": "anna", "control": "penalty.r1", "shift": 0.5}
"""A penalty that the recipe does not have: of a discriminator in shards the approximated one stands ready."""
WISHED = {"wishes": {"32": LIMITED, "48": STEADIER, "64": several.BACK}}
MEASURED = [
    "discriminator.network.spectral_norm=true",
    "health.mode=watch",
    "evaluate_every=48",
    "evaluate_features=pixels",
    "evaluate_count=160",
]
WHOLE = ["penalties={}", "penalties.r1-approximate.weight=1", *MEASURED]
PIECES = 512
"""Values of a piece: so that the smallest networks have several."""


def alone(case: tuple[str, ...]) -> Any:
    return playing.play({"recipe": case[0], "given": list(case[1:])})


def dealt(job: dict[str, Any]) -> dict[str, Any]:
    return job | {"piece": PIECES}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, _own_cache: None) -> dict[str, Any]:
    """What two processes did, one thing after the other."""
    folder = tmp_path_factory.mktemp("sharded")
    jobs = {name: dealt(job) for name, job in several.jobs_of(CASES).items()}
    whole = {"recipe": "dcgan", "given": [*BOTH, *MEASURED]}
    jobs |= {
        "whole": whole | {"path": str(folder / "whole")},
        "again": whole | {"path": str(folder / "again"), "cut": str(folder / "whole")},
        "plain": {"recipe": "dcgan", "given": WHOLE, "path": str(folder / "plain")},
        "to plain": {"recipe": "dcgan", "given": WHOLE, "path": str(folder / "to"), "cut": str(folder / "whole")},
        "from plain": whole | {"path": str(folder / "from"), "cut": str(folder / "plain")},
        "wished": {"recipe": "dcgan", "given": [*BOTH, "health.mode=mend"], "path": str(folder / "wished")} | WISHED,
    }
    found = several.played(2, jobs, folder)
    by_hand = {"recipe": "dcgan", "given": [*BOTH, "health.mode=mend"], "path": str(folder / "wished-by-one")}
    playing.play(by_hand | {"wishes": dict(WISHED["wishes"])})
    by_one = playing.play(whole | {"path": str(folder / "alone"), "cut": str(folder / "whole")})
    return {"folder": folder, "found": found, "alone": by_one}


@pytest.mark.parametrize("name", CASES)
def test_players_in_shards_play_the_same_trajectory(name: str, runs: dict[str, Any]) -> None:
    first, second = (found[name] for found in runs["found"])
    assert several.farthest(alone(CASES[name]), first) < several.TOLERANCE
    assert several.farthest(first, second) == 0


def test_each_process_keeps_about_half_of_the_values(runs: dict[str, Any]) -> None:
    for name in ("both", "both, approximated twice"):
        rows = [found[name]["rows"] for found in runs["found"]]
        for player in ("generator", "discriminator"):
            mine, theirs = (sum(one[player]) for one in rows)
            every = sum(alone(CASES[name])["rows"][player])
            assert mine + theirs == every and max(mine, theirs) < 0.65 * every
    made = [found["generator of vectors"]["rows"]["discriminator"] for found in runs["found"]]
    assert made[0] == made[1] and sum(made[0]) == sum(alone(CASES["generator of vectors"])["rows"]["discriminator"])


def test_a_run_in_shards_that_was_stopped_ends_in_the_same_bits(runs: dict[str, Any]) -> None:
    whole, again = runs["found"][0]["whole"], runs["found"][0]["again"]
    assert whole["plain"] == again["plain"]
    assert [name for name, one in whole["tensors"].items() if not torch.equal(one, again["tensors"][name])] == []
    assert (runs["folder"] / "whole/records.jsonl").read_bytes() == (
        runs["folder"] / "again/records.jsonl"
    ).read_bytes()


@pytest.mark.parametrize("name", ["to plain", "from plain", "plain", "alone"])
def test_checkpoints_are_those_of_whole_players(name: str, runs: dict[str, Any]) -> None:
    whole, other = runs["found"][0]["whole"], runs["alone"] if name == "alone" else runs["found"][0][name]
    assert whole["tensors"].keys() == other["tensors"].keys()
    apart = [float((one - other["tensors"][key]).abs().max()) for key, one in whole["tensors"].items() if one.numel()]
    assert max(apart) < several.TOLERANCE


def same_lines(run: Path, other: Path) -> None:
    for file in ("events.jsonl", "records.jsonl", "metrics.jsonl"):
        found, wanted = several.lines(run, file), several.lines(other, file)
        assert len(found) == len(wanted)
        assert [(a, b) for a, b in zip(found, wanted, strict=True) if not several.like(a, b)] == []


def test_health_and_measures_see_the_same(runs: dict[str, Any]) -> None:
    same_lines(runs["folder"] / "wished", runs["folder"] / "wished-by-one")
    same_lines(runs["folder"] / "whole", runs["folder"] / "plain")
    records = several.lines(runs["folder"] / "wished", "records.jsonl")
    for name in ("attempt", "control/max_gain.generator", "penalty/r1"):
        assert any(record.get(name) for record in records), name
    assert several.lines(runs["folder"] / "whole", "metrics.jsonl")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            ("dcgan", "discriminator.sharded=true", "penalties.r1.weight=1"),
            "the penalty 'r1' takes second derivatives, which a discriminator in shards does not have:"
            " use the penalty 'r1-approximate' instead, or set discriminator.sharded=false",
        ),
        (("style", *MADE), "the game 'style' cannot have players in shards: set generator.sharded=false"),
        (
            ("dcgan", *MADE, "generator.historical_averaging=0.1"),
            "historical averaging looks at all weights of the generator at once, which lie in shards:"
            " leave it out, or set generator.sharded=false",
        ),
    ],
)
def test_what_shards_cannot_do_is_refused_in_a_line(given: tuple[str, ...], words: str) -> None:
    assert alone(given) == {"error": words}


def test_one_process_has_nothing_to_deal() -> None:
    config, _ = playing.settled("dcgan", MADE)
    assert config.sharded == ("generator",) and sharding.sharded(config) == ()
    player = config.players["generator"].model_copy(update={"weight_penalties": {"l2": constant(1.0)}})
    with pytest.raises(SteadyganError, match="the weight penalty 'l2' looks at all weights of the generator"):
        sharding.check(config.model_copy(update={"players": config.players | {"generator": player}}))


def test_a_number_without_rows_cannot_be_dealt() -> None:
    class Odd(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = torch.nn.Parameter(torch.zeros(()))

    with pytest.raises(SteadyganError, match="the parameter gain is a single number"):
        shards.shard(Odd(), torch.device("cpu"))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("count", [2, 4])
def test_any_number_of_processes_and_more_settings(count: int, tmp_path: Path) -> None:
    cases = CASES | MORE
    found = several.played(count, {name: dealt(job) for name, job in several.jobs_of(cases).items()}, tmp_path)
    apart = {name: several.farthest(alone(case), found[0][name]) for name, case in cases.items()}
    assert {name: value for name, value in apart.items() if not value < several.TOLERANCE} == {}


@pytest.mark.slow
@pytest.mark.usefixtures("_own_cache")
def test_health_treats_a_generator_in_shards_as_a_whole_one(tmp_path: Path) -> None:
    treated = TREATED | {"given": [*TREATED["given"], *MADE], "path": str(tmp_path / "treated")}
    several.played(2, {"treated": dealt(treated)}, tmp_path)
    playing.play(TREATED | {"path": str(tmp_path / "by-one")})
    same_lines(tmp_path / "treated", tmp_path / "by-one")
    kinds = {event["kind"] for event in several.lines(tmp_path / "treated", "events.jsonl")}
    assert kinds >= {"diagnosis", "intervention"}


@pytest.mark.slow
def test_a_killed_one_ends_the_others_with_a_line(tmp_path: Path) -> None:
    run = tmp_path / "run"
    pair = playing.group(2, *several.TRAIN, "--set", MADE[0], "--out", str(run), patience=20)
    several.begun(run, pair)
    pair[1].kill()
    code, words = playing.ended(pair)[0]
    assert code == 1
    assert words.splitlines()[-1].startswith("steadygan: process 0 of 2 has lost the others (connection lost)")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_command_ends_with_its_report_and_can_be_sampled(tmp_path: Path) -> None:
    run = tmp_path / "run"
    given = ("batch=32", "checkpoint_every=320", "record_every=32", *MADE)
    pair = playing.group(
        *(2, "-m", "steadygan", "train", "digits", "--recipe", "mlp", "--images", "640", "--threads", "1"),
        *(part for one in given for part in ("--set", one)),
        *("--out", str(run)),
    )
    for code, words in playing.ended(pair):
        assert code == 0 and "Traceback" not in words and "Warning" not in words, words[-2000:]
    assert (run / "report.html").exists() and (run / "neighbours.json").exists()
    (one,) = playing.group(
        1, "-m", "steadygan", "sample", str(run), "--out", str(tmp_path / "fakes"), "--count", "8",
        environment={"RANK": "0", "WORLD_SIZE": "1"},
    )  # fmt: skip
    assert playing.ended([one])[0][0] == 0
