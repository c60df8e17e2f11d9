"""Players in shards: parameters, gradients, moments and averages of which every process keeps its own rows alone.

PyTorch's ``fully_shard`` (FSDP2) does the sending: a piece of a network is gathered when its turn comes, in the
forward and in the backward pass, and let go again; its gradient arrives as every process's own rows of the mean of
all. A tensor in shards is a ``DTensor``; what steps, clips and averages value by value works on its local rows.

Everything here gives plain tensors back as they are. Paper: Rajbhandari et al. 2020 (ZeRO).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from steadygan.errors import SteadyganError
from steadygan.runtime import processes

T = TypeVar("T")

PIECE = 16 * 2**20
"""Values of a player that are gathered at once: large enough to be worth a message, few beside a GPU's memory."""

OURS = ("steadygan.", "torch.")


def spread(tensor: Tensor) -> bool:
    """Whether a tensor lies in shards, asked without the class, whose import takes a second."""
    return hasattr(tensor, "placements")


@torch.no_grad()
def local(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Each tensor's rows in this process, which share its memory."""
    return [one.to_local() if spread(one) else one for one in tensors]  # type: ignore[attr-defined]


def norms(tensors: Sequence[Tensor], parted: bool) -> Tensor:
    """Every tensor's Euclidean norm (N,); where they are ``parted``, of local rows, over all processes' rows."""
    own = torch.stack(torch._foreach_norm(list(tensors)))
    return processes.summed(own.square()).sqrt() if parted else own


@torch.no_grad()
def full(tensor: Tensor) -> Tensor:
    """All rows of a tensor. Of one in shards all processes must ask at once."""
    if not spread(tensor):
        return tensor
    there: Any = _like(tensor.to_local().to(_mesh_of(tensor).device_type), tensor)  # type: ignore[attr-defined]
    with processes.asked():
        whole: Tensor = there.full_tensor()
    return whole.detach()


def whole(tree: Any, *, keep: bool = True) -> Any:
    """A tree of tensors with all rows of each, those in shards on the CPU; without ``keep`` nothing of them is kept.

    All processes must ask at once.
    """
    if isinstance(tree, Tensor):
        if not spread(tree):
            return tree
        found = full(tree)
        return found.to("cpu", copy=True) if keep else torch.empty(0)
    if isinstance(tree, dict):
        return {key: whole(value, keep=keep) for key, value in tree.items()}
    return [whole(value, keep=keep) for value in tree] if isinstance(tree, (list, tuple)) else tree


@torch.no_grad()
def fitted(value: Any, model: Tensor) -> Any:
    """A value as it fits ``model``: this process's rows of it, where the model lies in shards and has its shape."""
    if not spread(model) or not isinstance(value, Tensor) or value.shape != model.shape:
        return value
    if spread(value):
        rows = value.to_local()  # type: ignore[attr-defined]
    else:
        place = _mesh_of(model).get_local_rank()
        pieces = torch.chunk(value, _mesh_of(model).size())
        rows = pieces[place] if place < len(pieces) else value[:0]
    return _like(rows.to(model.device, copy=True).contiguous(), model)


def fitted_parts(state: Mapping[str, Any], models: Mapping[str, Any]) -> dict[str, Any]:
    """A network's saved state as it fits the tensors that it is to be put into."""
    return {name: fitted(value, models[name]) if name in models else value for name, value in state.items()}


def fitted_moments(state: Mapping[str, Any], parameters: Sequence[Tensor]) -> dict[str, Any]:
    """An optimizer's saved state as it fits its parameters."""
    found = dict(state)
    if "base" in found:
        found["base"] = fitted_moments(found["base"], parameters)
    if "slow" in found:
        found["slow"] = [fitted(value, model) for value, model in zip(found["slow"], parameters, strict=True)]
    if "state" in found:
        found["state"] = {
            index: {name: fitted(value, parameters[int(index)]) for name, value in values.items()}
            for index, values in found["state"].items()
        }
    return found


def shard(module: nn.Module, device: torch.device) -> None:
    """Deal a network's parameters to the processes, piece by piece: no more than a piece is whole on the device.

    Raises:
        SteadyganError: for a parameter without rows.
    """
    from torch.distributed.fsdp import fully_shard

    for name, parameter in module.named_parameters():
        if parameter.dim() == 0:
            raise SteadyganError(f"the parameter {name} is a single number and cannot be dealt", "set sharded=false")
    if all(type(part).__module__.startswith(OURS) for part in module.modules()):
        # these write nowhere into what a part has given
        warnings.filterwarnings("ignore", message="FSDP2-wrapped module", category=UserWarning)
    for root in _roots(module):
        for piece in (*_pieces(root), root):
            fully_shard(piece, mesh=_mesh(device.type), reshard_after_forward=True)
    for name, buffer in module.named_buffers():
        owner, _, last = name.rpartition(".")
        setattr(module.get_submodule(owner), last, buffer.to(device))


def ahead(job: Callable[[], T], by_all: bool) -> Callable[[], T]:
    """``job`` itself, or what it gives at once where all processes must take part in it."""
    if not by_all:
        return job
    made = job()
    return lambda: made


def _roots(module: nn.Module) -> Iterator[nn.Module]:
    """What is called when a network is: the network, or its parts where all parameters are theirs.

    Parts, since a network may be entered by other ways than its forward (a discriminator's features and head).
    """
    if any(True for _ in module.parameters(recurse=False)):
        yield module
        return
    for child in module.children():
        if not _called(child):
            yield from _roots(child)
        elif _size(child):
            yield child


def _pieces(module: nn.Module) -> Iterator[nn.Module]:
    """Parts that are gathered on their own; small ones go with what they are in."""
    for child in module.children():
        dealable = any(True for _ in child.children()) and not parametrize.is_parametrized(child)
        if not _called(child) or (dealable and _size(child) > PIECE):
            yield from _pieces(child)
        elif _size(child) > PIECE // 8:
            yield child


def _called(module: nn.Module) -> bool:
    return not isinstance(module, (nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict))


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@cache
def _mesh(kind: str) -> Any:
    from torch.distributed.device_mesh import init_device_mesh

    return init_device_mesh(kind, (processes.count(),))


def _mesh_of(tensor: Any) -> Any:
    return tensor.device_mesh


def _like(rows: Tensor, model: Any) -> Any:
    from torch.distributed.tensor import DTensor

    strides = torch.empty(model.shape, device="meta").stride()
    return DTensor.from_local(rows, model.device_mesh, model.placements, shape=model.shape, stride=strides)
