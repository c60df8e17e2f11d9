"""Every augmentation of the table: shape, type, identity, effect, seed, first and second derivatives, shares."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from steadygan.data.augmentation import AUGMENTATIONS, MATRICES, POLICIES, SHARE, augment, random_flip, resolve
from steadygan.errors import SteadyganError

NAMES = sorted(AUGMENTATIONS)
COLOURLESS = {"saturation": 1, "hue": 2}
"""Largest number of channels at which an operation has nothing to do."""


def images(
    count: int = 4, channels: int = 3, height: int = 16, width: int = 16, dtype: torch.dtype = torch.float32
) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.rand(count, channels, height, width, generator=generator, dtype=torch.float64).mul(2).sub(1).to(dtype)


def everywhere(count: int) -> Tensor:
    return torch.ones(count, dtype=torch.bool)


def changed(before: Tensor, after: Tensor) -> Tensor:
    return (before != after).flatten(1).any(dim=1)


SHAPES = [
    (name, *size) for name in NAMES for size in ((8, 8), (11, 6), (1, 5)) if name != "transpose" or size[0] == size[1]
]


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
@pytest.mark.parametrize(("name", "height", "width"), SHAPES)
def test_any_shape_stays_finite_and_only_chosen_samples_change(
    name: str, height: int, width: int, channels: int
) -> None:
    torch.manual_seed(0)
    before = images(6, channels, height, width)
    apply = torch.tensor([True, False] * 3)
    after = AUGMENTATIONS[name](before, apply)
    assert after.shape == before.shape and after.dtype == before.dtype
    assert after.isfinite().all() and after.abs().max() < 12
    assert torch.equal(after[1::2], before[1::2])


@pytest.mark.parametrize("name", NAMES)
def test_every_chosen_sample_changes(name: str) -> None:
    torch.manual_seed(3)
    before = images(12, 3, 32, 32)
    assert changed(before, AUGMENTATIONS[name](before, everywhere(12))).all()


@pytest.mark.parametrize(("name", "channels"), [(n, c) for n, most in COLOURLESS.items() for c in range(1, most + 1)])
def test_without_colour_there_is_nothing_to_do(name: str, channels: int) -> None:
    before = images(3, channels)
    assert AUGMENTATIONS[name](before, everywhere(3)) is before


@pytest.mark.parametrize("name", NAMES)
def test_a_function_of_the_seed(name: str) -> None:
    before = images()

    def play(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return augment(before, (name,), 0.9)

    assert torch.equal(play(1), play(1))
    assert any(not torch.equal(play(1), play(seed)) for seed in (2, 3, 4))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_type_is_kept(name: str, dtype: torch.dtype) -> None:
    after = augment(images(dtype=dtype), (name,), 1.0)
    assert after.dtype == dtype and after.isfinite().all()


def seeded(name: str, apply: Tensor) -> Callable[[Tensor], Tensor]:
    def play(x: Tensor) -> Tensor:
        torch.manual_seed(5)
        return AUGMENTATIONS[name](x, apply)

    return play


@pytest.mark.parametrize("name", NAMES)
def test_first_and_second_derivatives(name: str) -> None:
    x = images(3, 3, 5, 5, torch.float64).requires_grad_()
    play = seeded(name, torch.tensor([True, False, True]))
    assert torch.autograd.gradcheck(play, (x,))
    assert torch.autograd.gradgradcheck(lambda x: play(x).tanh(), (x,))


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_gradient_penalty_on_augmented_images_reaches_the_weights(policy: str) -> None:
    torch.manual_seed(0)
    weight = torch.randn(3 * 9 * 7, 1, dtype=torch.float64, requires_grad=True)
    x = images(4, 3, 9, 7, torch.float64).requires_grad_()
    logits = (augment(x, POLICIES[policy], 1.0).flatten(1) @ weight).tanh()
    (slope,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    slope.square().sum().backward()
    assert weight.grad is not None and weight.grad.isfinite().all() and weight.grad.abs().max() > 0


@pytest.mark.parametrize("strength", [0.0, torch.tensor(0.0)])
def test_strength_zero_is_the_input_itself(strength: Tensor | float) -> None:
    before = images()
    state = torch.get_rng_state()
    assert augment(before, POLICIES["ada"], strength) is before
    assert torch.equal(torch.get_rng_state(), state)
    assert augment(before, (), 1.0) is before


@pytest.mark.parametrize("strength", [-0.1, 1.5, float("nan"), torch.tensor(2.0)])
def test_strength_out_of_range(strength: Tensor | float) -> None:
    with pytest.raises(SteadyganError, match="strength .* out of range: give a number from 0 to 1"):
        augment(images(), ("flip",), strength)


@pytest.mark.parametrize("strength", [0.3, torch.tensor(0.7)])
@pytest.mark.parametrize("name", ["brightness", "rotate", "flip", "rotate90", "lumaflip", "transpose"])
def test_share_of_changed_samples(name: str, strength: Tensor | float) -> None:
    torch.manual_seed(11)
    before = images(4000, 1, 4, 4)
    share = changed(before, augment(before, (name,), strength)).double().mean()
    wanted = float(strength) * SHARE.get(name, 1.0)
    assert abs(share - wanted) < 4 * (wanted * (1 - wanted) / 4000) ** 0.5


def test_strength_one_changes_every_sample_outside_the_groups() -> None:
    torch.manual_seed(2)
    before = images(50, 3, 32, 32)
    for name in sorted(set(NAMES) - set(SHARE) - {"translate"}):
        assert changed(before, augment(before, (name,), 1.0)).all(), name
    # One of its 81 shifts is no shift.
    assert changed(before, augment(before, ("translate",), 1.0)).sum() >= 47


@pytest.mark.parametrize(("name", "times"), [("flip", 2), ("transpose", 2), ("rotate90", 4)])
def test_groups_return_exactly(name: str, times: int) -> None:
    before = images(9)
    after = before
    for _ in range(times):
        after = seeded(name, everywhere(9))(after)
    assert torch.equal(after, before)


def test_rotate90_of_a_rectangle_is_a_half_turn_half_of_the_time() -> None:
    torch.manual_seed(0)
    before = images(2000, 1, 3, 5)
    assert torch.equal(AUGMENTATIONS["rotate90"](before, everywhere(2000)), before.flip(-1, -2))
    assert abs(changed(before, augment(before, ("rotate90",), 1.0)).double().mean() - 0.5) < 0.05


def test_lumaflip_turns_light_only() -> None:
    before = images(4, 3, dtype=torch.float64)
    after = AUGMENTATIONS["lumaflip"](before, everywhere(4))
    torch.testing.assert_close(after.mean(1), -before.mean(1))
    torch.testing.assert_close(after - after.mean(1, True), before - before.mean(1, True))
    torch.testing.assert_close(AUGMENTATIONS["lumaflip"](after, everywhere(4)), before)


def test_hue_keeps_light_and_saturation_and_further_channels() -> None:
    before = images(4, 5, dtype=torch.float64)
    after = AUGMENTATIONS["hue"](before, everywhere(4))
    torch.testing.assert_close(after[:, :3].mean(1), before[:, :3].mean(1))
    torch.testing.assert_close(after[:, :3].norm(dim=1), before[:, :3].norm(dim=1))
    assert torch.equal(after[:, 3:], before[:, 3:])


def test_translate_shifts_by_whole_pixels_and_fills_with_zeros() -> None:
    torch.manual_seed(4)
    before = images(40, 2, 16, 24)
    after = AUGMENTATIONS["translate"](before, everywhere(40))
    seen = set()
    for old, new in zip(before, after, strict=True):
        for down in range(-2, 3):
            for right in range(-3, 4):
                moved = torch.zeros_like(old)
                moved[:, max(0, down) : 16 + min(0, down), max(0, right) : 24 + min(0, right)] = old[
                    :, max(0, -down) : 16 + min(0, -down), max(0, -right) : 24 + min(0, -right)
                ]
                if torch.equal(moved, new):
                    seen.add((down, right))
    assert len(seen) > 20 and {down for down, _ in seen} == {-2, -1, 0, 1, 2}


def test_cutout_blanks_a_box_of_half_the_side() -> None:
    torch.manual_seed(0)
    blank = AUGMENTATIONS["cutout"](torch.ones(200, 1, 16, 24), everywhere(200))[:, 0] == 0
    sizes = {(int(box.any(1).sum()), int(box.any(0).sum())) for box in blank}
    assert max(sizes) == (8, 12) and min(height for height, _ in sizes) >= 4
    assert all(int(box.sum()) == int(box.any(1).sum()) * int(box.any(0).sum()) for box in blank)


def test_rotation_agrees_with_an_exact_quarter_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    quarter = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)
    monkeypatch.setitem(MATRICES, "rotate", lambda x: quarter.expand(len(x), 2, 2))
    before = images(2, 3, 6, 6, torch.float64)
    torch.testing.assert_close(AUGMENTATIONS["rotate"](before, everywhere(2)), torch.rot90(before, -1, (2, 3)))


def test_zooming_out_mirrors_the_border_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MATRICES, "scale", lambda x: 0.5 * torch.eye(2, dtype=x.dtype).expand(len(x), 2, 2))
    constant = torch.full((1, 1, 8, 8), 0.7, dtype=torch.float64)
    torch.testing.assert_close(AUGMENTATIONS["scale"](constant, everywhere(1)), constant)
    ramp = torch.arange(8, dtype=torch.float64).expand(1, 1, 8, 8)
    row = AUGMENTATIONS["scale"](ramp, everywhere(1))[0, 0, 0]
    torch.testing.assert_close(row, torch.tensor([2.5, 0.5, 0.5, 2.5, 4.5, 6.5, 6.5, 4.5], dtype=torch.float64))


def test_neighbouring_matrices_are_joined_into_one_resampling(monkeypatch: pytest.MonkeyPatch) -> None:
    two, half = (factor * torch.eye(2, dtype=torch.float64) for factor in (2.0, 0.5))
    monkeypatch.setitem(MATRICES, "scale", lambda x: two.expand(len(x), 2, 2))
    monkeypatch.setitem(MATRICES, "anisotropic", lambda x: half.expand(len(x), 2, 2))
    before = images(3, dtype=torch.float64)
    torch.testing.assert_close(augment(before, ("scale", "anisotropic"), 1.0), before)


def test_transpose_refuses_rectangles() -> None:
    with pytest.raises(SteadyganError, match=r"square images and these are 5x3.*leave it out"):
        augment(images(2, 1, 3, 5), ("transpose",), 1.0)


def test_resolve_spells_out_bundles() -> None:
    assert resolve("diffaugment") == ("brightness", "saturation", "contrast", "translate", "cutout")
    assert resolve(["flip", "colour"]) == ("flip", *POLICIES["colour"])
    assert resolve(()) == ()
    assert all(name in AUGMENTATIONS for bundle in POLICIES for name in resolve(bundle))


@pytest.mark.parametrize(("name", "near"), [("diffaug", "diffaugment"), ("colr", "colour"), ("rotat90", "rotate90")])
def test_resolve_names_the_nearest(name: str, near: str) -> None:
    with pytest.raises(SteadyganError, match=f"unknown augmentation '{name}': did you mean '{near}'"):
        resolve(["flip", name])


def test_augment_names_the_nearest() -> None:
    with pytest.raises(SteadyganError, match="did you mean 'flip'"):
        augment(images(), ("flipp",), 0.5)


def test_random_flip_of_bytes() -> None:
    torch.manual_seed(0)
    before = torch.randint(0, 256, (3000, 1, 2, 3), dtype=torch.uint8)
    after = random_flip(before)
    mirrored = (after == before.flip(-1)).flatten(1).all(1)
    same = (after == before).flatten(1).all(1)
    assert (mirrored | same).all() and after.dtype == torch.uint8
    assert abs(mirrored.double().mean() - 0.5) < 0.05
    assert random_flip(before, 0.0) is before
    assert torch.equal(random_flip(before, 1.0), before.flip(-1))
