"""The check-up as a whole: what it gives, what it leaves alone, and what it bears."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from steadygan.config import NetworkConfig
from steadygan.errors import SteadyganError
from steadygan.health.checkup import SIGNALS, Baseline, CheckUp, Patient, Signal, examine
from steadygan.networks import build_discriminator, build_generator

LATENT = 16


def blobs(count: int, shape: tuple[int, int, int], seed: int = 0) -> Tensor:
    """Smooth random images in [-1, 1] of eight kinds."""
    source = torch.Generator().manual_seed(seed)
    kinds = torch.randn(8, *shape, generator=torch.Generator().manual_seed(99))
    kinds = nn.functional.avg_pool2d(kinds, 3, stride=1, padding=1)
    which = torch.randint(0, 8, (count,), generator=source)
    return (kinds[which] * 2 + 0.3 * torch.randn(count, *shape, generator=source)).tanh()


def in_eval(network: nn.Module, *values: Tensor) -> Tensor:
    mode = network.training
    network.eval()
    try:
        made: Tensor = network(*values)
        return made
    finally:
        network.train(mode)


def patient(shape: tuple[int, int, int], name: str = "dcgan", **options: object) -> Patient:
    torch.manual_seed(1)
    config = NetworkConfig(name=name, capacity=4, **options)  # type: ignore[arg-type]
    generator, judge = build_generator(config, shape, LATENT, 0), build_discriminator(config, shape, 0)
    latents = torch.randn(512, LATENT, generator=torch.Generator().manual_seed(5))
    make: Callable[[str, int], Tensor] = torch.no_grad()(lambda kind, count: in_eval(generator, latents[:count]))
    return Patient(
        players={"generator": generator, "discriminator": judge},
        make=make,
        judge=lambda images, label: in_eval(judge, images),
        real=blobs(128, shape, 1),
        held_out=blobs(64, shape, 2),
        reference=blobs(256, shape, 3),
    )


def baseline(of: Patient) -> Baseline:
    return Baseline.of(of.real, of.held_out, of.reference)


def everything(of: Patient) -> dict[str, Tensor]:
    return {
        f"{name}.{key}": value.clone()
        for name, player in of.players.items()
        for key, value in player.state_dict().items()
    }


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ((1, 28, 28), "dcgan"),
        ((1, 8, 8), "dcgan"),
        ((5, 12, 20), "dcgan"),
        ((3, 33, 17), "sngan"),
        ((3, 64, 48), "dcgan"),
        ((2, 1, 1), "mlp"),
    ],
)
def test_it_bears_every_shape(shape: tuple[int, int, int], name: str) -> None:
    one = patient(shape, name)
    compared = baseline(one)
    first, memory = examine(one, compared, {}, 64)
    second, _ = examine(one, compared, memory, 64)
    assert all(math.isfinite(value) for value in first.values())
    missing = set(SIGNALS) - set(second)
    allowed = {"overfitting", "overfitting_error"} | ({"checkerboard", "bands"} if min(shape[1:]) < 4 else set())
    assert missing <= allowed
    assert set(second) - set(first) == {"displacement"}
    assert second["displacement"] == 0.0
    assert sum(value.numel() for value in memory.values()) <= 64 * 64
    assert {name: second[name] for name in first} == first


@pytest.mark.parametrize(
    "options",
    [
        {"normalisation": "batch"},
        {"spectral_norm": True},
        {"minibatch_std": True, "activation": "relu"},
        {"dropout": 0.5},
    ],
)
def test_it_changes_nothing(options: dict[str, object]) -> None:
    one = patient((1, 16, 16), "dcgan", **options)
    compared = baseline(one)
    for player in one.players.values():
        player.train()
    before, modes = everything(one), [part.training for player in one.players.values() for part in player.modules()]
    flags = [parameter.requires_grad for player in one.players.values() for parameter in player.parameters()]
    source = torch.get_rng_state()
    examine(one, compared, {}, 128)
    after = everything(one)
    assert all(torch.equal(before[key], after[key]) for key in before) and before.keys() == after.keys()
    assert modes == [part.training for player in one.players.values() for part in player.modules()]
    assert flags == [parameter.requires_grad for player in one.players.values() for parameter in player.parameters()]
    assert all(parameter.grad is None for player in one.players.values() for parameter in player.parameters())
    assert torch.equal(source, torch.get_rng_state())
    assert not any(part._forward_hooks for player in one.players.values() for part in player.modules())


def test_the_baseline_draws_nothing_and_is_the_same_each_time() -> None:
    one, source = patient((1, 16, 16)), torch.get_rng_state()
    first, second = baseline(one), baseline(one)
    assert torch.equal(source, torch.get_rng_state())
    assert first.facts == second.facts
    assert torch.equal(first.real, second.real)


def test_a_signal_that_is_not_asked_for_costs_nothing() -> None:
    one = patient((1, 16, 16))
    asked: list[str] = []

    def make(kind: str, count: int) -> Tensor:
        asked.append(kind)
        return one.make(kind, count)

    watched = dataclasses.replace(one, make=make)
    table = {"duplicates": SIGNALS["duplicates"], "spectral.generator": SIGNALS["spectral.generator"]}
    checkup = CheckUp(watched, baseline(one), {}, 64)
    for signal in table.values():
        signal.measure(checkup)
    assert asked == []
    SIGNALS["diversity"].measure(checkup)
    SIGNALS["distance"].measure(checkup)
    assert asked == ["average"]


def test_signals_of_ones_own_and_signals_left_out() -> None:
    one = patient((1, 16, 16))
    own = {"brightness": Signal("mean brightness", "-1..1", lambda checkup: float(checkup.fakes.mean()))}
    found, _ = examine(one, baseline(one), {}, 32, table=SIGNALS | own, without=("copies", "copies_z"))
    assert found["brightness"] == pytest.approx(float(one.make("average", 32).mean()))
    assert "copies" not in found and "distance" in found


def test_without_discriminator_and_held_out_images_those_signals_are_absent() -> None:
    one = patient((1, 16, 16))
    bare = dataclasses.replace(
        one, judge=None, held_out=one.held_out[:0], players={"generator": one.players["generator"]}
    )
    found, _ = examine(bare, baseline(bare), {}, 64)
    gone = {
        "overfitting",
        "overfitting_error",
        "held_out_margin",
        "gradient_real",
        "gradient_fake",
        "copies",
        "copies_z",
    }
    assert not (gone | {"spectral.discriminator"}) & set(found)
    assert {"distance", "diversity", "spectral.generator", "checkerboard"} <= set(found)


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_weights_that_are_not_finite_leave_signals_out_and_say_why(poison: float) -> None:
    one = patient((1, 16, 16))
    compared = baseline(one)
    memory = examine(one, compared, {}, 64)[1]
    with torch.no_grad():
        for parameter in one.players["generator"].parameters():
            parameter.fill_(poison)
    found, kept = examine(one, compared, memory, 64)
    assert found["broken"] == 1.0
    assert all(math.isfinite(value) for value in found.values())
    assert not {"distance", "diversity", "spectral.generator", "displacement", "saturation"} & set(found)
    assert torch.equal(kept["features"], memory["features"])


@pytest.mark.parametrize("rows", [4, 9, 30])
def test_few_real_images_are_no_reason_to_stop(rows: int) -> None:
    one = patient((1, 8, 8))
    few = dataclasses.replace(one, real=one.real[:rows], held_out=one.held_out[:3], reference=one.reference[:0])
    found, _ = examine(few, baseline(few), {}, 16)
    assert "distance" in found
    assert all(math.isfinite(value) for value in found.values())


def test_reals_that_are_all_one_image_have_no_unit_for_diversity() -> None:
    one = patient((1, 16, 16))
    blank = torch.full_like(one.real, 0.25)
    same = dataclasses.replace(one, real=blank, reference=blank, held_out=blank[:20])
    found, _ = examine(same, baseline(same), {}, 32)
    assert found["constant_images"] == found["duplicates"] == 1.0
    assert "diversity" not in found and "empty_clusters" not in found
    almost = blank.clone()
    almost[:, 0, 3, 3] = torch.linspace(-1, 1, len(blank))
    pixel = dataclasses.replace(one, real=almost, reference=almost.flip(0), held_out=almost[:20])
    found, _ = examine(pixel, baseline(pixel), {}, 32)
    assert "diversity" in found


def test_real_images_that_cannot_be_used() -> None:
    one = patient((1, 8, 8))
    with pytest.raises(SteadyganError, match="at least 4"):
        Baseline.of(one.real[:3], one.held_out, one.reference)
    with pytest.raises(SteadyganError, match="NaN"):
        Baseline.of(one.real * math.nan, one.held_out, one.reference)


def test_the_table_says_what_each_signal_is() -> None:
    for name, signal in SIGNALS.items():
        assert name == name.lower() and " " not in name
        assert signal.meaning and signal.unit
