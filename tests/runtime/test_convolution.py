"""Convolutions with cheap second derivatives against torch's own: same values, same derivatives of all orders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from steadygan.networks.layers import ImageConv2d, PlainConvTranspose2d
from steadygan.objectives.penalties import PENALTIES, input_gradient
from steadygan.runtime import convolution

CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, int]]] = {
    "plain": ((2, 3, 5, 6), (4, 3, 3, 3), {"padding": 1}),
    "halving": ((2, 3, 7, 6), (4, 3, 4, 4), {"stride": 2, "padding": 1}),
    "one pixel": ((2, 3, 5, 5), (4, 3, 1, 1), {}),
    "channel by channel": ((2, 4, 4, 4), (4, 1, 4, 4), {"groups": 4}),
    "spread": ((1, 2, 7, 7), (2, 2, 3, 3), {"dilation": 2}),
    "one channel": ((2, 1, 9, 7), (5, 1, 4, 4), {"stride": 2, "padding": 1}),
    "one channel in full": ((2, 1, 5, 5), (4, 1, 3, 3), {"padding": 1}),
    "one channel with gaps": ((2, 1, 8, 7), (3, 1, 2, 2), {"stride": 3}),
}
TRANSPOSED: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, int]]] = {
    "doubling": ((2, 3, 4, 3), (3, 2, 4, 4), {"stride": 2, "padding": 1}),
    "one channel": ((2, 5, 3, 4), (5, 1, 4, 4), {"stride": 2, "padding": 1}),
    "one channel of odd sides": ((2, 3, 4, 3), (3, 1, 3, 3), {"stride": 2, "padding": 1, "output_padding": 1}),
    "odd": ((2, 4, 3, 3), (4, 1, 3, 3), {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2}),
}
ALL = [
    *[pytest.param(convolution.conv2d, torch.conv2d, *case, id=name) for name, case in CASES.items()],
    *[
        pytest.param(convolution.conv_transpose2d, torch.conv_transpose2d, *case, id=name)
        for name, case in TRANSPOSED.items()
    ],
]


def leaves(sizes: tuple[int, ...], kernel: tuple[int, ...], biases: int) -> list[Tensor]:
    torch.manual_seed(3)
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in (sizes, kernel, (biases,))]


@pytest.mark.parametrize(("ours", "theirs", "sizes", "kernel", "settings"), ALL)
def test_values_and_derivatives_are_those_of_torch(
    ours: Callable[..., Tensor],
    theirs: Callable[..., Tensor],
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    settings: dict[str, int],
) -> None:
    biases = kernel[0] if ours is convolution.conv2d else kernel[1] * settings.get("groups", 1)
    found = []
    for function in (ours, theirs):
        given = leaves(sizes, kernel, biases)
        out = function(*given, **settings)
        first = torch.autograd.grad(out.sin().sum(), given, create_graph=True)
        second = torch.autograd.grad(torch.stack([g.square().sum() for g in first]).sum(), given)
        found.append([out, *first, *second])
    for mine, known in zip(*found, strict=True):
        torch.testing.assert_close(mine, known, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("ours", "theirs", "sizes", "kernel", "settings"), ALL)
def test_derivatives_are_those_of_differences(
    ours: Callable[..., Tensor],
    theirs: Callable[..., Tensor],
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    settings: dict[str, int],
) -> None:
    del theirs
    values, weight, _ = leaves(sizes, kernel, 1)

    def function(x: Tensor, w: Tensor) -> Tensor:
        return ours(x, w, None, **settings).tanh()

    assert torch.autograd.gradcheck(function, (values, weight), fast_mode=True)
    assert torch.autograd.gradgradcheck(function, (values, weight), fast_mode=True)


def test_one_channel_is_written_by_a_matrix_product(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[int, ...]] = []
    plain = convolution._written

    def noted(values: Tensor, weight: Tensor, size: Any, plan: Any) -> Tensor:
        written.append(tuple(size))
        return plain(values, weight, size, plan)

    monkeypatch.setattr(convolution, "_written", noted)
    images, wide = torch.randn(2, 1, 8, 8, requires_grad=True), torch.randn(2, 2, 8, 8, requires_grad=True)
    maps = ImageConv2d(1, 3, 4, 2, 1)(images)
    assert written == []
    maps.sum().backward()
    assert written == [(8, 8)]
    PlainConvTranspose2d(3, 1, 4, 2, 1)(maps.detach())
    assert written == [(8, 8), (8, 8)]
    ImageConv2d(1, 3, 3, 1, 1)(images).sum().backward()
    ImageConv2d(2, 3, 4, 2, 1)(wide).sum().backward()
    PlainConvTranspose2d(3, 2, 4, 2, 1)(maps.detach())
    assert len(written) == 2, "overlaps of more than four, and more channels, are left to torch"


def plain_like(layer: nn.Module) -> nn.Module:
    """torch's own layer with the same weights."""
    kind = nn.Conv2d if isinstance(layer, ImageConv2d) else nn.ConvTranspose2d
    found = kind(1, len(layer.state_dict()["bias"]), 4, 2, 1)
    found.load_state_dict(layer.state_dict())
    return found


@pytest.mark.parametrize("layer", [ImageConv2d(1, 3, 4, 2, 1), PlainConvTranspose2d(1, 1, 4, 2, 1)])
def test_layers_are_those_of_torch_in_whatever_way_they_are_played(layer: nn.Module) -> None:
    torch.manual_seed(0)
    images = torch.randn(4, 1, 8, 8, requires_grad=True)
    played, known = layer(images), plain_like(layer)(images)
    torch.testing.assert_close(played, known)
    slopes = [torch.autograd.grad(one.square().sum(), images)[0] for one in (played, known)]
    torch.testing.assert_close(*slopes)
    with torch.no_grad():
        assert torch.equal(layer(images), known)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = layer(images)
    assert half.dtype == torch.bfloat16
    torch.autograd.grad(half.float().sum(), images)


class Judge(nn.Module):
    """A discriminator of every kind of layer that takes part."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(2, 6, 4, 2, 1)
        self.named = nn.Conv2d(6, 6, 3, padding="same")
        self.up = nn.ConvTranspose2d(6, 4, 4, 2, 1)
        self.whole = nn.Conv2d(4, 4, 8, groups=4)

    def forward(self, images: Tensor) -> Tensor:
        maps = functional.leaky_relu(self.named(functional.leaky_relu(self.down(images), 0.2)), 0.2)
        logits: Tensor = self.whole(torch.tanh(self.up(maps))).sum((1, 2, 3))
        return logits


@pytest.mark.parametrize("name", ["r1", "r2", "gradient", "gradient-zero", "dragan"])
def test_a_penalty_and_its_gradient_are_those_of_torch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    judge = Judge().double()
    real, fake = (torch.randn(3, 2, 8, 8, dtype=torch.float64) for _ in range(2))

    def taken() -> list[Tensor]:
        torch.manual_seed(1)
        values = PENALTIES[name](judge, real, fake)
        judge.zero_grad()
        (values.sum() + judge(real).sum()).backward()
        return [values.detach(), *(p.grad.clone() for p in judge.parameters() if p.grad is not None)]

    ours = taken()
    monkeypatch.setattr(convolution, "_REPLACED", {})
    for mine, known in zip(ours, taken(), strict=True):
        torch.testing.assert_close(mine, known, rtol=1e-9, atol=1e-11)


def test_only_the_images_part_of_the_first_gradient_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[bool, ...]] = []
    plain = convolution._adjoints

    def noted(*given: Any) -> Any:
        asked.append(tuple(given[4]))
        return plain(*given)

    monkeypatch.setattr(convolution, "_adjoints", noted)
    judge = Judge()
    slope = input_gradient(judge, torch.randn(2, 2, 8, 8))
    assert set(asked) == {(True, False, False)}
    assert len(asked) == 3  # padding by name is left to torch
    slope.square().sum().backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None for parameter in judge.parameters() if parameter.ndim > 1)


def test_outside_the_context_nothing_is_replaced() -> None:
    layer = nn.Conv2d(2, 2, 3)
    with convolution.twice_differentiable():
        inside = layer(torch.randn(1, 2, 5, 5))
        single = layer(torch.randn(2, 5, 5))
    outside = layer(torch.randn(1, 2, 5, 5))
    names = [type(one.grad_fn).__name__ for one in (inside, single, outside)]
    assert names[0] == "_ConvolutionBackward"
    assert "_ConvolutionBackward" not in names[1:]


def test_networks_may_name_the_input_as_torch_does() -> None:
    values, kernel, _ = leaves((2, 3, 5, 6), (4, 3, 3, 3), 4)
    with convolution.twice_differentiable():
        found = functional.conv2d(input=values, weight=kernel, padding=1)
    assert found.grad_fn is not None and "_Convolution" in type(found.grad_fn).__name__
    torch.testing.assert_close(found, functional.conv2d(values, kernel, padding=1))
