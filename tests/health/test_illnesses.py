"""Every illness changes what it says it changes, more at a higher severity, and nothing else."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from steadygan import recipes
from steadygan.config import DataConfig, RunConfig
from steadygan.data.dataset import DataSet
from steadygan.data.sources import open_data
from steadygan.errors import SteadyganError
from steadygan.game.loop import loop
from steadygan.game.move import Batch
from steadygan.game.round import Record, play_round
from steadygan.game.schedules import value_at
from steadygan.health import illness_data
from steadygan.health.diagnoses import DIAGNOSES
from steadygan.health.illness_moves import burst_rounds
from steadygan.health.illnesses import ILLNESSES, parse, sicken_config, sicken_data, sicken_draw, sicken_moves
from steadygan.recipes.facts import DataFacts
from steadygan.runtime.folder import RunFolder
from steadygan.session import planning, settings
from steadygan.session.running import Run
from steadygan.session.wiring import Wired, wire


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("momentum", 2.0),
        ("momentum:2.5", 2.5),
        ("momentum:mild", 1.0),
        (" momentum : severe ", 3.0),
        ("momentum:.5", 0.5),
    ],
)
def test_name_and_severity_are_read(text: str, severity: float) -> None:
    illness, found = parse(text)
    assert illness is ILLNESSES["momentum"]
    assert found == severity


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(SteadyganError, match="did you mean 'no-penalty'"):
        parse("no-penalti:2")


@pytest.mark.parametrize("severity", ["", "4", "0.4", "nan", "inf", "awful", "-1"])
def test_a_severity_that_is_none_says_which_are(severity: str) -> None:
    with pytest.raises(SteadyganError, match=r"no severity of an illness: choose mild, medium, severe or a number"):
        parse(f"momentum:{severity}")


@pytest.mark.parametrize("name", ILLNESSES)
def test_the_table_is_whole(name: str) -> None:
    illness = ILLNESSES[name]
    assert set(illness.expected) <= DIAGNOSES.keys() and illness.expected
    assert any((illness.config, illness.data, illness.draw, illness.moves))
    assert illness.meaning and "\n" not in illness.meaning
    first, second, third = illness.parameters
    assert first < second < third or first > second > third
    assert [illness.parameter(at) for at in (1, 2, 3)] == pytest.approx(illness.parameters)
    assert min(second, third) < illness.parameter(2.5) < max(second, third)


RECIPES_HERE = ("mlp", "dcgan", "digits", "sngan", "wgan", "wgan-gp")


@pytest.fixture(scope="session")
def digits(_own_cache: Iterator[None]) -> DataSet:
    return open_data(DataConfig())


def tiny(data: DataSet, recipe: str = "dcgan", *given: str) -> RunConfig:
    """A config that is wired in a moment."""
    facts = DataFacts(data.name, len(data.train), data.shape, data.classes, DataConfig())
    small = ("batch=8", "images=160", "record_every=8", "threads=1", "generator.network.capacity=4")
    small += ("discriminator.network.capacity=4", "latent.size=8")
    return settings.apply(recipes.build(recipe, facts), [*small, *given]).model_copy(update={"shape": data.shape})


def applies(name: str, config: RunConfig) -> bool:
    try:
        sicken_config(name, config)
    except SteadyganError:
        return False
    return True


def ill_records(data: DataSet, text: str, *given: str, recipe: str = "dcgan") -> list[Record]:
    """All records of a tiny ill run."""
    config = sicken_config(text, tiny(data, recipe, *given))
    wired = wire(config, sicken_data(text, data, config.seed))
    moves = sicken_moves(text, tuple(wired.moves), config)
    return list(loop(wired.state, moves, sicken_draw(text, wired.draw, config)))


# ---- nothing, and everything ----


def test_no_illness_gives_back_what_came_in(digits: DataSet) -> None:
    config = tiny(digits)
    wired = wire(config, digits)
    moves = tuple(wired.moves)
    assert sicken_config("", config) is config
    assert sicken_data("", digits, 0) is digits
    assert sicken_draw("", wired.draw, config) is wired.draw
    assert sicken_moves("", moves, config) is moves


@pytest.mark.parametrize("name", ILLNESSES)
def test_parts_that_an_illness_does_not_touch_stay_as_they_are(name: str, digits: DataSet) -> None:
    config = tiny(digits, "digits")
    wired = wire(config, digits)
    moves, illness = tuple(wired.moves), ILLNESSES[name]
    assert (sicken_config(name, config) is config) == (illness.config is None)
    assert (sicken_data(name, digits, 0) is digits) == (illness.data is None)
    assert (sicken_draw(name, wired.draw, config) is wired.draw) == (illness.draw is None)
    assert (sicken_moves(name, moves, config) is moves) == (illness.moves is None)


@pytest.mark.parametrize("recipe", RECIPES_HERE)
@pytest.mark.parametrize("name", [name for name, illness in ILLNESSES.items() if illness.config])
def test_an_ill_config_is_a_config(name: str, recipe: str, digits: DataSet) -> None:
    healthy = tiny(digits, recipe, "batch=64")
    before = healthy.model_dump_json()
    if not applies(name, healthy):
        assert name in ("batch-norm", "heavy-penalty") and not healthy.penalties
        return
    seen = [sicken_config(f"{name}:{severity}", healthy).model_dump_json() for severity in (1, 2, 3, 3.5)]
    assert len({before, *seen}) == (4 if name in ("tiny-batch", "batch-norm") else 5)
    assert healthy.model_dump_json() == before
    assert RunConfig.model_validate_json(seen[-1]).model_dump_json() == seen[-1]
    wire(RunConfig.model_validate_json(seen[2]), digits)


@pytest.mark.parametrize("name", ["batch-norm", "heavy-penalty"])
def test_an_illness_that_does_not_apply_says_what_it_is_for(name: str, digits: DataSet) -> None:
    with pytest.raises(SteadyganError, match=r"recipe 'dcgan' has no penalty.* such as r3"):
        sicken_config(name, tiny(digits, "dcgan"))


def test_a_network_from_outside_may_know_no_normalisation(digits: DataSet) -> None:
    config = tiny(digits, "digits", "discriminator.network.name=somewhere:made")
    with pytest.raises(SteadyganError, match="'somewhere:made' may not take a normalisation"):
        sicken_config("batch-norm", config)


def test_without_a_discriminator_the_illness_of_one_is_refused(digits: DataSet) -> None:
    config = tiny(digits)
    alone = config.model_copy(update={"players": {"generator": config.players["generator"]}})
    with pytest.raises(SteadyganError, match="no player 'discriminator'"):
        sicken_config("weak-discriminator", alone)


@pytest.mark.parametrize("name", ILLNESSES)
def test_every_illness_can_be_played(name: str, digits: DataSet) -> None:
    records = ill_records(digits, f"{name}:2", "images=24", recipe="digits")
    assert records[-1].images_seen >= records[0].images_seen > 0


# ---- settings ----


def rate(config: RunConfig, player: str) -> float:
    return config.players[player].optimizer.learning_rate.value


def test_rates_rise_with_severity(digits: DataSet) -> None:
    healthy = tiny(digits)
    for player in ("generator", "discriminator"):
        other = "discriminator" if player == "generator" else "generator"
        ill = [sicken_config(f"{player}-rate:{severity}", healthy) for severity in (1, 2, 3)]
        found = [rate(config, player) for config in ill]
        wanted = [rate(healthy, player) * factor for factor in ILLNESSES[f"{player}-rate"].parameters]
        assert found == pytest.approx(wanted)
        assert {rate(config, other) for config in ill} == {rate(healthy, other)}


def test_a_rate_drifts_from_what_it_was_to_many_times_that(digits: DataSet) -> None:
    healthy = tiny(digits)
    schedule = sicken_config("rate-drift:2", healthy).players["generator"].optimizer.learning_rate
    first, last = value_at(schedule, 0, 1000), value_at(schedule, 1000, 1000)
    assert first == rate(healthy, "generator")
    assert last == pytest.approx(first * ILLNESSES["rate-drift"].parameters[1])
    assert first < value_at(schedule, 500, 1000) < last


def test_without_penalty_nothing_holds_the_discriminator(digits: DataSet) -> None:
    for recipe in ("digits", "sngan", "wgan", "wgan-gp", "dcgan"):
        ill = sicken_config("no-penalty:2", tiny(digits, recipe))
        network = ill.players["discriminator"].network
        assert not ill.penalties and ill.weight_clip.value == 0
        assert network.spectral_norm is False and network.normalisation == "none"
        assert network.depth == ILLNESSES["no-penalty"].parameters[1]


def test_a_tiny_batch_keeps_the_images(digits: DataSet) -> None:
    healthy = tiny(digits, "dcgan", "batch=64", "images=6400")
    ill = sicken_config("tiny-batch:2", healthy)
    assert ill.batch == ILLNESSES["tiny-batch"].parameters[1]
    assert (ill.images, ill.health) == (healthy.images, healthy.health)
    packed = sicken_config("tiny-batch:3", tiny(digits, "dcgan", "batch=64", "packing=4", "accumulate=2"))
    assert RunConfig.model_validate_json(packed.model_dump_json()).batch % 4 == 0


def test_a_batch_that_is_tiny_already_is_refused(digits: DataSet) -> None:
    with pytest.raises(SteadyganError, match="not small beside 2"):
        sicken_config("tiny-batch", tiny(digits, "dcgan", "batch=2"))


# ---- data ----


@pytest.mark.parametrize("name", ["small-data", "duplicates"])
def test_ill_data_are_others_with_a_fingerprint_of_their_own(name: str, digits: DataSet) -> None:
    ill = [sicken_data(f"{name}:{severity}", digits, 3) for severity in (1, 2, 3)]
    counts = [len(np.unique(data.train)) for data in ill]
    assert counts[0] > counts[1] > counts[2]
    assert len({digits.fingerprint, *(data.fingerprint for data in ill)}) == 4
    assert sicken_data(f"{name}:2", digits, 4).fingerprint != ill[1].fingerprint
    again = sicken_data(f"{name}:2", digits, 3)
    assert again.fingerprint == ill[1].fingerprint
    assert np.array_equal(again.train, ill[1].train) and np.array_equal(again.held_out, ill[1].held_out)
    assert all(data.images is digits.images for data in ill)
    assert all(np.all(np.diff(rows) >= 0) for data in ill for rows in (data.train, data.held_out))


def test_small_data_keep_the_sides_apart(digits: DataSet) -> None:
    for severity in (0.5, 1, 2, 3, 3.5):
        ill = sicken_data(f"small-data:{severity}", digits, 0)
        assert len(ill.train) + len(ill.held_out) == round(ILLNESSES["small-data"].parameter(severity))
        assert not set(ill.train) & set(ill.held_out)
        assert set(ill.train) <= set(digits.train) and set(ill.held_out) <= set(digits.held_out)


def test_small_data_of_a_set_that_is_smaller_still(digits: DataSet) -> None:
    few = dataclasses.replace(digits, train=digits.train[:5], held_out=digits.held_out[:0])
    ill = sicken_data("small-data:1", few, 0)
    assert np.array_equal(ill.train, few.train) and len(ill.held_out) == 0


def test_duplicates_leak_into_the_held_out_rows(digits: DataSet) -> None:
    ill = sicken_data("duplicates:2", digits, 0)
    assert len(ill.train) == len(digits.train) and len(ill.held_out) == len(digits.held_out)
    assert set(ill.train) <= set(digits.train)
    rows, times = np.unique(ill.train, return_counts=True)
    copied = rows[times > 2]
    assert len(copied) == illness_data.COPIED
    share = ILLNESSES["duplicates"].parameters[1]
    assert times[times > 2].sum() == pytest.approx(share * len(digits.train), abs=len(copied) + 1)
    assert np.isin(ill.held_out, copied).mean() == pytest.approx(share, abs=0.01)


def test_a_run_is_not_resumed_on_other_data(digits: DataSet, tmp_path: Path) -> None:
    ill = sicken_data("duplicates:2", digits, 0)
    config = planning.settle(tiny(digits, "mlp", "images=16", "checkpoint_every=8"))
    folder = RunFolder(tmp_path / "run")
    folder.create(config.model_dump_json())
    Run(folder, config, ill).conduct()
    with pytest.raises(SteadyganError, match="other settings or data"):
        Run(folder, config, digits).conduct()


# ---- batches ----


def batches(data: DataSet, text: str, config: RunConfig, attempt: int = 0) -> list[Batch]:
    drawn = sicken_draw(text, wire(config, data).draw, config)
    return [drawn(position, config.batch, attempt) for position in range(0, config.images, config.batch)]


def changed(healthy: list[Batch], ill: list[Batch]) -> list[float]:
    """Share of every batch's images that are not what they were."""
    return [
        float((one.real != other.real).flatten(1).any(1).float().mean())
        for one, other in zip(healthy, ill, strict=True)
    ]


def test_a_shift_begins_in_the_middle_and_takes_its_share(digits: DataSet) -> None:
    config = tiny(digits, "mlp", "images=1600", "batch=16")
    healthy = batches(digits, "", config)
    last = 0.0
    for severity in (1, 2, 3):
        shares = changed(healthy, batches(digits, f"data-shift:{severity}", config))
        assert max(shares[:50]) == 0
        assert sum(shares[50:]) / 50 == pytest.approx(ILLNESSES["data-shift"].parameter(severity), abs=0.06)
        assert sum(shares) > last
        last = sum(shares)
    ill = batches(digits, "data-shift:3", config)
    assert torch.equal(ill[-1].real, -healthy[-1].real)
    assert torch.equal(ill[-1].label, healthy[-1].label)


def test_a_share_of_the_batches_is_noise(digits: DataSet) -> None:
    config = tiny(digits, "mlp", "images=3200", "batch=16")
    healthy, noisy = batches(digits, "", config), set[int]()
    for severity in (1, 2, 3):
        shares = changed(healthy, batches(digits, f"corrupt-batches:{severity}", config))
        assert set(shares) == {0.0, 1.0}
        assert sum(shares) / 200 == pytest.approx(ILLNESSES["corrupt-batches"].parameter(severity), abs=0.1)
        before, noisy = noisy, {place for place, share in enumerate(shares) if share}
        assert before < noisy
    ill = batches(digits, "corrupt-batches:3", config)
    noise = torch.cat([ill[place].real for place in noisy])
    assert noise.min() >= -1 and noise.max() <= 1 and abs(float(noise.std()) - 3**-0.5) < 0.02


@pytest.mark.parametrize("text", ["data-shift:2", "corrupt-batches:2"])
def test_a_batch_depends_on_its_place_alone(text: str, digits: DataSet) -> None:
    config = tiny(digits, "mlp", "images=320")
    first = batches(digits, text, config)
    assert not any(changed(first, batches(digits, text, config)))
    drawn = sicken_draw(text, wire(config, digits).draw, config)
    assert torch.equal(drawn(304, 8, 0).real, first[38].real)
    assert torch.equal(drawn(16, 8, 0).real, first[2].real)
    marks = [
        [bool(share) for share in changed(batches(digits, "", config, attempt), batches(digits, text, config, attempt))]
        for attempt in (0, 1)
    ]
    assert text.startswith("data-shift") or marks[0] != marks[1]
    assert first[0].real.is_contiguous(memory_format=torch.channels_last)


# ---- goals ----


def test_bursts_come_in_their_rounds_and_in_no_other(digits: DataSet) -> None:
    config = tiny(digits, "mlp", "images=400")
    wired = wire(config, digits)
    moves = sicken_moves("bursts:2", tuple(wired.moves), config)
    due = burst_rounds(config.seed, 0, 2, 50)
    assert len(due) == 2
    found = set()
    start = copy.deepcopy(wired.state.state_dict())
    for number in range(50):
        wired.state.load_state_dict(copy.deepcopy(start))
        wired.state.rounds = number
        record = play_round(wired.state, moves, wired.draw)
        norms = [float(record.signals[f"{player}/gradient_norm"]) for player in ("generator", "discriminator")]
        if not all(map(math.isfinite, norms)):
            found.add(number)
    assert found == due


def test_a_mild_burst_is_large_and_finite(digits: DataSet) -> None:
    lines = [record.line() for record in ill_records(digits, "bursts:1", "images=400", recipe="mlp")]
    norms = [line["discriminator/gradient_norm"] for line in lines]
    due = burst_rounds(0, 0, 1, 50)
    assert {place for place, norm in enumerate(norms) if norm > 100} == due
    assert all(map(math.isfinite, norms))


@given(st.integers(0, 2**40), st.integers(0, 5), st.integers(1, 40), st.integers(200, 10**6))
def test_each_stretch_of_a_run_has_one_burst(seed: int, attempt: int, number: int, rounds: int) -> None:
    found = sorted(burst_rounds(seed, attempt, number, rounds))
    assert [place * number // rounds for place in found] == list(range(number))
    assert found == sorted(burst_rounds(seed, attempt, number, rounds))


def test_another_attempt_has_its_bursts_elsewhere() -> None:
    assert burst_rounds(0, 0, 3, 10_000) != burst_rounds(0, 1, 3, 10_000) != burst_rounds(1, 1, 3, 10_000)


@pytest.mark.parametrize("recipe", ["dcgan", "mlp", "digits"])
def test_a_large_last_layer_saturates(recipe: str, digits: DataSet) -> None:
    shares = []
    for text in ("", "saturation:1", "saturation:2", "saturation:3"):
        config = tiny(digits, recipe, "images=8")
        wired = wire(config, digits)
        play_round(wired.state, sicken_moves(text, tuple(wired.moves), config), wired.draw)
        with torch.no_grad():
            made = wired.state.players["generator"](torch.randn(64, 8))
        shares.append(float((made.abs() > 0.99).float().mean()))
    assert shares[0] < 0.2 and shares == sorted(shares) and shares[2] > 0.6


def test_the_last_layer_is_enlarged_once_and_never_again_after_a_resume(digits: DataSet) -> None:
    config = tiny(digits, "mlp", "images=80", "generator.optimizer.learning_rate=0")
    wired = wire(config, digits)
    moves = sicken_moves("saturation:2", tuple(wired.moves), config)
    healthy = list(wired.state.players["generator"].parameters())[-2].clone()
    play_round(wired.state, moves, wired.draw)
    kept = copy.deepcopy(wired.state.state_dict())
    play_round(wired.state, moves, wired.draw)
    again = wire(config, digits)
    again.state.load_state_dict(kept)
    play_round(again.state, sicken_moves("saturation:2", tuple(again.moves), config), again.draw)
    wanted = healthy * ILLNESSES["saturation"].parameters[1]
    for state in (wired.state, again.state):
        assert torch.allclose(list(state.players["generator"].parameters())[-2], wanted)


def board(images: Tensor) -> float:
    """Mean amplitude of a chessboard in the images."""
    rows, columns = torch.meshgrid(torch.arange(images.shape[-2]), torch.arange(images.shape[-1]), indexing="ij")
    return float((images * (1 - 2 * ((rows + columns) % 2))).mean((-3, -2, -1)).abs().mean())


def pulled(data: DataSet, text: str) -> Tensor:
    """Fakes after a short run."""
    config = tiny(data, "mlp", "images=1600", "batch=16", "generator.optimizer.learning_rate=0.002")
    wired = wire(config, data)
    for _ in loop(wired.state, sicken_moves(text, tuple(wired.moves), config), wired.draw):
        pass
    return wired.sample(64, 0)


def test_the_chessboard_and_the_sameness_are_seen_in_the_fakes(digits: DataSet) -> None:
    healthy = pulled(digits, "")
    boards = [board(pulled(digits, f"checkerboard:{severity}")) for severity in (1, 2, 3)]
    assert boards == pytest.approx(ILLNESSES["checkerboard"].parameters, rel=0.4)
    spread = [float(images.var(0).mean()) for images in (healthy, pulled(digits, "collapse:2"))]
    assert spread[1] < 0.5 * spread[0]


def test_only_the_generator_is_led_astray(digits: DataSet) -> None:
    for name, word in (("checkerboard", "checkerboard"), ("collapse", "alike")):
        record = ill_records(digits, name, "images=8", "share_fakes=false", recipe="digits")[0]
        assert f"auxiliary/{word}" in record.signals
        config = tiny(digits, "digits")
        moves = tuple(wire(config, digits).moves)
        assert sicken_moves(name, moves, config)[0] == moves[0]


@pytest.mark.parametrize("name", ["bursts", "checkerboard", "collapse", "saturation", "corrupt-batches", "data-shift"])
def test_an_ill_run_goes_on_in_the_same_bits(name: str, digits: DataSet) -> None:
    text = f"{name}:1"
    config = tiny(digits, "mlp", "images=64")
    whole, half = wire(config, digits), wire(config, digits)

    def play(wired: Wired, rounds: int) -> None:
        moves, draw = sicken_moves(text, tuple(wired.moves), config), sicken_draw(text, wired.draw, config)
        for _ in range(rounds):
            play_round(wired.state, moves, draw)

    play(whole, 8)
    play(half, 5)
    later = wire(config, digits)
    later.state.load_state_dict(copy.deepcopy(half.state.state_dict()))
    play(later, 3)
    for name, player in whole.state.players.items():
        for one, other in zip(player.parameters(), later.state.players[name].parameters(), strict=True):
            assert torch.equal(one, other)
