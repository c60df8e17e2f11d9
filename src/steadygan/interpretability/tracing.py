"""Layers of any network: what they give, and what changes when their output is changed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Inputs = Sequence[Tensor | None]
"""What a network is called with."""


@dataclass(frozen=True)
class Layer:
    """A layer that gives one tensor a sample.

    Attributes:
        name: of the module inside its network.
        shape: of its output for one sample, (F,) or (C, h, w).
        weighted: whether it has learned values of its own.
    """

    name: str
    shape: tuple[int, ...]
    weighted: bool

    @property
    def units(self) -> int:
        """Feature maps, or values of a layer without maps."""
        return self.shape[0]

    @property
    def maps(self) -> bool:
        """Whether its units are maps of more than one place."""
        return len(self.shape) == 3 and self.shape[1] * self.shape[2] > 1


@torch.no_grad()
def layers(network: nn.Module, *inputs: Tensor | None) -> list[Layer]:
    """The network's innermost modules in the order of use.

    Left out are those that do not give one tensor a sample, and those that are used more than once.
    """
    count = next(len(value) for value in inputs if value is not None)
    found: dict[str, Layer] = {}
    used: dict[str, int] = {}

    def note(name: str, module: nn.Module, out: object) -> None:
        used[name] = used.get(name, 0) + 1
        if isinstance(out, Tensor) and out.ndim in (2, 4) and len(out) == count:
            weighted = any(True for _ in module.parameters())
            found.setdefault(name, Layer(name, tuple(out.shape[1:]), weighted))

    with _hooked(network, [name for name, one in network.named_modules() if name and not any(one.children())], note):
        network(*inputs)
    return [one for name, one in found.items() if used[name] == 1]


def activations(network: nn.Module, name: str, *inputs: Tensor | None) -> Tensor:
    """What the layer ``name`` gives (N, ...) while the network is called; gradients flow where they are on."""
    kept: list[Tensor] = []
    with _hooked(network, [name], lambda _name, _module, out: kept.append(out)):
        network(*inputs)
    return kept[-1]


@contextlib.contextmanager
def edited(network: nn.Module, name: str, edit: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Inside, the layer ``name`` gives ``edit(output)`` in the place of its output."""
    handle = network.get_submodule(name).register_forward_hook(lambda _module, _inputs, out: edit(out))
    try:
        yield
    finally:
        handle.remove()


@contextlib.contextmanager
def _hooked(network: nn.Module, names: Sequence[str], note: Callable[[str, nn.Module, Tensor], None]) -> Iterator[None]:
    handles = []
    for name in names:

        def hook(module: nn.Module, _inputs: object, out: Tensor, name: str = name) -> None:
            # a copy: the next layer may write into its input
            note(name, module, out.clone() if isinstance(out, Tensor) else out)

        handles.append(network.get_submodule(name).register_forward_hook(hook))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
