"""What the two players want, term by term."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from steadygan.game.move import Play
from steadygan.games.adversarial import AdversarialGame, LazyPenalty
from steadygan.objectives.adversarial import ADVERSARIAL_LOSSES
from steadygan.objectives.penalties import PENALTIES
from steadygan.objectives.weights import WEIGHT_PENALTIES

Game = Callable[..., AdversarialGame]
MakePlay = Callable[..., Play]


def shown(play: Play) -> list[torch.Tensor]:
    """All that the discriminator was given so far."""
    judge: Any = play.players["discriminator"]
    seen: list[torch.Tensor] = judge.seen
    return seen


def again(play: Play, **changes: Any) -> Play:
    """The next micro-batch or round of the same run."""
    return replace(play, notes={}, **changes)


@pytest.mark.parametrize("loss", ADVERSARIAL_LOSSES)
def test_both_losses_are_those_of_the_table_on_the_very_fakes(loss: str, game: Game, play: MakePlay) -> None:
    one, this = game(loss), play()
    told = one.tell(this)["discriminator/loss"]
    made = this.shared["fakes.0"]
    judge = this.players["discriminator"]
    logits = judge(this.batch.real), judge(made)
    assert torch.equal(told.values, ADVERSARIAL_LOSSES[loss].discriminator(*logits))
    believed = one.be_believed(this)["generator/loss"]
    assert torch.equal(believed.values, ADVERSARIAL_LOSSES[loss].generator(*logits))
    believed.values.mean().backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None for parameter in this.players["generator"].parameters())


@pytest.mark.parametrize(("share", "calls"), [(True, 1), (False, 2)])
def test_shared_fakes_cost_one_forward_pass(share: bool, calls: int, game: Game, play: MakePlay) -> None:
    one, this = game(share_fakes=share), play()
    one.tell(this)
    one.be_believed(this)
    assert this.players["generator"].calls == calls
    one.be_believed(this)
    assert this.players["generator"].calls == calls + 1, "a second step of the generator makes fakes of its own"
    assert one.moves()[0].builds == (("generator",) if share else ())


def test_the_discriminators_goal_gives_the_generator_no_gradient(game: Game, play: MakePlay) -> None:
    one, this = game(penalties=(LazyPenalty("r2", PENALTIES["r2"]),)), play(penalty__r2=1.0)
    sum(term.values.mean() for term in one.tell(this).values()).backward()  # type: ignore[union-attr]
    assert all(parameter.grad is None for parameter in this.players["generator"].parameters())


def test_lazy_penalties_come_every_so_often_and_weigh_as_much_more(game: Game, play: MakePlay) -> None:
    one = game(penalties=(LazyPenalty("r1", PENALTIES["r1"], every=4), LazyPenalty("r2", PENALTIES["r2"])))
    for number in range(9):
        terms = one.tell(play(round=number, penalty__r1=0.5, penalty__r2=0.25))
        assert ("penalty/r1" in terms) == (number % 4 == 0)
        assert terms["penalty/r2"].weight == 0.25
        if number % 4 == 0:
            assert terms["penalty/r1"].weight == 2.0


def test_lecam_ties_to_the_past_and_moves_it_on(game: Game, play: MakePlay) -> None:
    one, this = game(), play(lecam=0.3)
    first = one.tell(this)["auxiliary/lecam"]
    real, fake = (this.notes[f"discriminator/{side}_logits"] for side in ("real", "fake"))
    assert first.weight == 0.3
    assert {name: value.item() for name, value in this.memory.items()} == pytest.approx(
        {"lecam.real": real.item(), "lecam.fake": fake.item()}
    ), "it begins at the first batch"
    this.memory["lecam.real"] = torch.tensor(2.0, dtype=torch.float64)
    this.memory["lecam.fake"] = torch.tensor(-1.0, dtype=torch.float64)
    second = again(this)
    values = one.tell(second)["auxiliary/lecam"].values
    logits = [this.players["discriminator"](images) for images in shown(this)[-2:]]
    assert torch.allclose(values, (logits[0] + 1.0).square() + (logits[1] - 2.0).square())
    assert this.memory["lecam.real"].item() == pytest.approx(2.0 * 0.99 + 0.01 * logits[0].mean().item())


def test_historical_averaging_counts_each_step_once(game: Game, play: MakePlay) -> None:
    one, this = game(historical=frozenset({"generator"})), play(historical_averaging__generator=0.5)
    (weight, _), seen = list(this.players["generator"].parameters()), []
    for number in range(3):
        with torch.no_grad():
            weight.fill_(float(number))
        seen.append(float(number))
        for part in range(2):
            terms = one.be_believed(again(this, part=part, parts=2))
            assert terms["auxiliary/historical_averaging.generator"].weight == 0.5
        assert this.memory["history.generator.0"].mean().item() == pytest.approx(sum(seen) / len(seen))
    assert this.memory["history.generator.count"].item() == 3
    expected = (weight - this.memory["history.generator.0"]).square().sum()
    assert terms["auxiliary/historical_averaging.generator"].values.item() >= expected.item()


def test_weight_penalties_reach_the_player_that_they_name(game: Game, play: MakePlay) -> None:
    one = game(weight_penalties={"discriminator": {"l2": WEIGHT_PENALTIES["l2"]}})
    this = play(penalty__l2__discriminator=0.1)
    this.controls = dict(this.controls) | {"penalty.l2.discriminator": 0.1}
    terms = one.tell(this)
    total = sum(parameter.square().sum() for parameter in this.players["discriminator"].parameters())
    assert torch.allclose(terms["penalty/l2.discriminator"].values, torch.as_tensor(total))
    assert not any("l2" in name for name in one.be_believed(this))


def test_top_k_teaches_from_the_most_convincing(game: Game, play: MakePlay) -> None:
    one, this = game("hinge"), play(top_k=0.5)
    one.tell(this)
    logits = this.players["discriminator"](this.shared["fakes.0"])
    values = one.be_believed(this)["generator/loss"].values
    assert torch.equal(values, -logits.sort(descending=True).values[:4])


def test_packing_shows_neighbours_together(game: Game, play: MakePlay) -> None:
    one, this = game(packing=2), play(packing=2)
    assert one.tell(this)["discriminator/loss"].values.shape == (4,)
    assert torch.equal(shown(this)[0], this.batch.real.view(4, 2, 2, 2))


def test_label_flipping_swaps_about_as_many_as_asked_for(game: Game, play: MakePlay) -> None:
    this = play()
    plain = game("wasserstein").tell(this)["discriminator/loss"].values
    flipped = 0
    for seed in range(100):
        torch.manual_seed(seed)
        again_ = again(this)
        values = game("wasserstein", label_flipping=0.25).tell(again_)["discriminator/loss"].values
        real, fake = (this.players["discriminator"](images) for images in shown(this)[-2:])
        assert torch.equal(values.abs(), (fake - real).abs())
        flipped += int((values != fake - real).sum())
    assert 0.2 < flipped / 800 < 0.3
    assert plain.shape == (8,)


def test_noise_and_augmentation_are_for_both_sides_and_the_penalty_sees_what_comes_out(
    game: Game, play: MakePlay
) -> None:
    seen: list[torch.Tensor] = []
    penalty = LazyPenalty("spy", lambda judge, real, fake: (seen.extend((real, fake)), judge(real))[1])  # type: ignore[func-returns-value]
    one = game(augment=lambda images, strength: images * strength, penalties=(penalty,))
    this = play(augmentation=0.0, instance_noise=0.5, penalty__spy=1.0)
    one.tell(this)
    given = shown(this)
    assert torch.equal(seen[0], given[0])
    assert torch.equal(seen[1], given[1])
    for images in given[:2]:
        assert 0.2 < float(images.std()) < 0.9, "strength 0 blanks them here, so that only the noise is left"
    assert not torch.equal(given[0], given[1])


def test_feature_matching_has_the_reals_for_a_fixed_target(game: Game, play: MakePlay) -> None:
    one, this = game(), play(feature_matching=2.0)
    one.tell(this)
    judge, made = this.players["discriminator"], this.shared["fakes.0"]
    term = one.be_believed(this)["matching/features"]
    apart = judge.features(this.batch.real).mean(0) - judge.features(made).mean(0)  # type: ignore[operator]
    assert torch.allclose(term.values, apart.square().sum())
    assert term.weight == 2.0


def test_weight_clipping_follows_the_discriminators_step(game: Game, play: MakePlay) -> None:
    move, this = game().moves()[0], play(weight_clip=0.01)
    assert move.after is not None
    move.after(this)
    assert (
        max(float(parameter.detach().abs().max()) for parameter in this.players["discriminator"].parameters()) <= 0.01
    )
    assert max(float(parameter.detach().abs().max()) for parameter in this.players["generator"].parameters()) > 0.01
    off = play(weight_clip=0.0)
    before = [parameter.detach().clone() for parameter in off.players["discriminator"].parameters()]
    move.after(off)
    pairs = zip(before, off.players["discriminator"].parameters(), strict=True)
    assert all(torch.equal(old, new) for old, new in pairs)


def test_signals_of_a_game_that_is_decided_and_of_one_that_is_not(game: Game, play: MakePlay) -> None:
    this = play()
    with torch.no_grad():
        for parameter in this.players["generator"].parameters():
            parameter.zero_()
    game().tell(this)
    assert this.notes["generator/spread"].item() == 0.0, "all fakes alike"
    real, fake = (this.players["discriminator"](images).detach() for images in shown(this)[-2:])
    assert this.notes["discriminator/win_rate"].item() == pytest.approx(
        float((real[:, None] > fake[None]).double().mean())
    )
    assert this.notes["discriminator/real_signs"].item() == pytest.approx(float(real.sign().mean()))
    assert not any(note.requires_grad for note in this.notes.values())
    quiet = play()
    quiet.measured = False
    game().tell(quiet)
    assert {"generator/spread", "discriminator/win_rate"}.isdisjoint(quiet.notes)
