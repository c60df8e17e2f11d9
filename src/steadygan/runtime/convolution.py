"""Convolutions whose second derivative costs no more than their first, and that write one channel as fast as many.

Where torch differentiates a convolution's derivative by its weights, it takes a convolution with kernels as large as
the maps, which runs at a thirtieth of the speed of the kernel that is made for it, and one a channel where the
convolution has groups. A convolution is linear in its input x and in its weights w, so that all its derivatives of all
orders are one of three: itself, C(x, w), and its two adjoints, X(g, w) towards the input and W(g, x) towards the
weights. Each is written here with its own derivatives in terms of the other two.

What writes a single channel, the last layer of a generator or the way back to the images through the first one of a
discriminator, is taken as a matrix product whose columns are added up where they overlap: torch's kernels share the
work out by channels, and leave it to a tenth of what the processor can do where there is one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_only_inputs = 0
"""Above 0 while a gradient is taken that asks for no weights' part, which a Python function is not told."""


class Plan(NamedTuple):
    """Everything about a convolution but its tensors, in the order in which torch takes it."""

    stride: list[int]
    padding: list[int]
    dilation: list[int]
    transposed: bool
    output_padding: list[int]
    groups: int


TAPS = 4
"""Products of each map's channel that a pixel is the sum of; more are best left to torch."""


def thin(values: Tensor, weight: Tensor, plan: Plan) -> bool:
    """Whether the way from maps ``values`` to what ``weight`` (C, 1, kh, kw) writes is faster as a matrix product."""
    small = weight.shape[1] == 1 and weight.shape[2] * weight.shape[3] <= TAPS * plan.stride[0] * plan.stride[1]
    return small and plan.groups == 1 and plan.dilation == [1, 1] and values.device.type == "cpu"


def _written(values: Tensor, weight: Tensor, size: Sequence[int], plan: Plan) -> Tensor:
    """The single channel (N, 1, *size) that maps (N, C, h, w) write through ``weight`` (C, 1, kh, kw)."""
    columns = weight.flatten(1).t() @ values.flatten(2)
    kernel = tuple(weight.shape[2:])
    return functional.fold(columns, tuple(size), kernel, padding=tuple(plan.padding), stride=tuple(plan.stride))


def _adjoints(gradient: Tensor, values: Tensor, weight: Tensor, plan: Plan, wanted: Sequence[bool]) -> Any:
    """Towards the input, towards the weights, and towards the bias, as far as they are wanted."""
    if wanted[0] and not plan.transposed and thin(gradient, weight, plan):
        rest = (
            _adjoints(gradient, values, weight, plan, (False, *wanted[1:])) if any(wanted[1:]) else (None, None, None)
        )
        return _written(gradient, weight, values.shape[2:], plan), *rest[1:]
    bias = [gradient.shape[1]] if wanted[2] else None
    return torch.ops.aten.convolution_backward(gradient, values, weight, bias, *plan, list(wanted))


def _apply(function: Any, *given: Any) -> Any:
    return function.apply(*given)


class _Convolution(Function):
    """C(x, w) + b."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, weight: Tensor, bias: Tensor | None, plan: Plan) -> Tensor:
        ctx.save_for_backward(values, weight)
        ctx.plan = plan
        if plan.transposed and thin(values, weight, plan):
            sides = zip(values.shape[2:], weight.shape[2:], plan.stride, plan.padding, plan.output_padding, strict=True)
            size = [(side - 1) * stride - 2 * pad + kernel + more for side, kernel, stride, pad, more in sides]
            made = _written(values, weight, size, plan)
            return made if bias is None else made.add_(bias)
        return torch.convolution(values, weight, bias, *plan)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        values, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:3]
        if not torch.is_grad_enabled():  # nobody will differentiate again
            return (*_adjoints(gradient, values, weight, ctx.plan, wanted), None)
        to_values = _apply(_ToInput, gradient, weight, values, ctx.plan) if wanted[0] else None
        if _only_inputs:
            return to_values, None, None, None
        to_weight = _apply(_ToWeight, gradient, values, weight, ctx.plan) if wanted[1] else None
        return to_values, to_weight, gradient.sum((0, 2, 3)) if wanted[2] else None, None


class _ToInput(Function):
    """X(g, w), of the shape of ``like``."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, weight: Tensor, like: Tensor, plan: Plan) -> Tensor:
        ctx.save_for_backward(gradient, weight)
        ctx.plan = plan
        found: Tensor = _adjoints(gradient, like, weight, plan, (True, False, False))[0]
        return found

    @staticmethod
    def backward(ctx: Any, beyond: Tensor) -> Any:
        gradient, weight = ctx.saved_tensors
        to_gradient = _apply(_Convolution, beyond, weight, None, ctx.plan) if ctx.needs_input_grad[0] else None
        to_weight = _apply(_ToWeight, gradient, beyond, weight, ctx.plan) if ctx.needs_input_grad[1] else None
        return to_gradient, to_weight, None, None


class _ToWeight(Function):
    """W(g, x), of the shape of ``like``."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, values: Tensor, like: Tensor, plan: Plan) -> Tensor:
        ctx.save_for_backward(gradient, values)
        ctx.plan = plan
        found: Tensor = _adjoints(gradient, values, like, plan, (False, True, False))[1]
        return found

    @staticmethod
    def backward(ctx: Any, beyond: Tensor) -> Any:
        gradient, values = ctx.saved_tensors
        to_gradient = _apply(_Convolution, values, beyond, None, ctx.plan) if ctx.needs_input_grad[0] else None
        to_values = _apply(_ToInput, gradient, beyond, values, ctx.plan) if ctx.needs_input_grad[1] else None
        return to_gradient, to_values, None, None


def _two(value: int | Sequence[int]) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


def conv2d(
    values: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | str | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """``torch.conv2d`` with cheap second derivatives; single samples and padding by name are left to torch."""
    if isinstance(padding, str) or values.ndim != 4:
        return torch.conv2d(values, weight, bias, stride, padding, dilation, groups)
    plan = Plan(_two(stride), _two(padding), _two(dilation), False, [0, 0], groups)
    found: Tensor = _apply(_Convolution, values, weight, bias, plan)
    return found


def conv_transpose2d(
    values: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> Tensor:
    """``torch.conv_transpose2d`` with cheap second derivatives; single samples are left to torch."""
    if values.ndim != 4:
        return torch.conv_transpose2d(values, weight, bias, stride, padding, output_padding, groups, dilation)
    plan = Plan(_two(stride), _two(padding), _two(dilation), True, _two(output_padding), groups)
    found: Tensor = _apply(_Convolution, values, weight, bias, plan)
    return found


_REPLACED: Mapping[Any, Any] = {torch.conv2d: conv2d, torch.conv_transpose2d: conv_transpose2d}


class _Replace(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        if func not in _REPLACED:
            return func(*args, **named)
        if "input" in named:  # torch's own name for it
            named["values"] = named.pop("input")
        return _REPLACED[func](*args, **named)


def gradient_by(values: Tensor, result: Tensor) -> Tensor:
    """The gradient of ``result`` () by ``values``, which can be differentiated again for the weights."""
    global _only_inputs
    _only_inputs += 1
    try:
        found: Tensor = torch.autograd.grad(result, values, create_graph=True)[0]
    finally:
        _only_inputs -= 1
    return found


@contextlib.contextmanager
def twice_differentiable() -> Iterator[None]:
    """Convolutions that any network calls inside this context get cheap second derivatives.

    Not for use under autocast, which would have the derivatives in another type than the values.
    """
    with _Replace():
        yield
