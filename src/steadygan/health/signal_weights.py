"""Signals of a player's weights and feature maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from steadygan.runtime import shards

STEPS = 8
"""Directions that a top singular value is sought in: within a few percent for random matrices."""
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
"""Layers whose weights have their inputs first."""


@torch.no_grad()
def top_singular_value(weight: Tensor) -> float:
    """About the largest singular value of a matrix (out, in): never above it, within a few percent below.

    Golub and Kahan's bidiagonalisation: power iteration from a fixed start that keeps all the directions that it has
    passed through and takes the best mix of them. Not finite where the weights are not.
    """
    if not bool(weight.isfinite().all()):
        return float("nan")
    rows = weight if weight.shape[0] <= weight.shape[1] else weight.T
    # no random start, and none that a symmetric filter could be blind to
    start = (torch.arange(rows.shape[0], dtype=torch.float32, device=rows.device) * 1.618).cos() + 0.1
    values = rows.detach().float()
    directions = [start / start.norm()]
    images = []
    for _ in range(min(STEPS, rows.shape[0])):
        images.append(directions[-1] @ values)
        known = torch.stack(directions)
        following = values @ images[-1]
        for _ in range(2):  # twice, since once leaves rounding that grows
            following = following - known.T @ (known @ following)
        size = following.norm()
        if not float(size) > 1e-6 * float(images[-1].norm()):
            break
        directions.append(following / size)
    return float(torch.linalg.matrix_norm(torch.stack(images).cpu().double(), 2))


def matrices(player: nn.Module) -> Iterator[Tensor]:
    """The weights of every layer as matrices (out, in * places), as the layer uses them; tables of classes left out."""
    inside = {id(part) for module in player.modules() for part in _parametrisations(module)}
    for module in player.modules():
        if isinstance(module, nn.Embedding) or id(module) in inside:
            continue
        for name, weight in _weights(module):
            weight = shards.full(weight)
            if weight.dim() >= 2:
                rows = weight.transpose(0, 1) if isinstance(module, TRANSPOSED) and name == "weight" else weight
                yield rows.detach().reshape(rows.shape[0], -1)


def _parametrisations(module: nn.Module) -> Iterator[nn.Module]:
    if parametrize.is_parametrized(module):
        tables = module.parametrizations
        assert isinstance(tables, nn.ModuleDict)
        yield from tables.modules()


def _weights(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters(recurse=False)
    if parametrize.is_parametrized(module):
        tables = module.parametrizations
        assert isinstance(tables, nn.ModuleDict)
        for name in tables:
            yield name, _as_used(tables[name])


@torch.no_grad()
def _as_used(table: nn.Module) -> Tensor:
    """The parametrised weight in eval mode: in training mode spectral normalisation would turn its vectors."""
    modes = [(part, part.training) for part in table.modules()]
    table.eval()
    try:
        dealt = {name: shards.full(one) for name, one in table.named_parameters() if shards.spread(one)}
        # a parametrisation by itself does not gather what lies in shards
        weight: Tensor = torch.func.functional_call(table, dealt, ()) if dealt else table()
        return weight
    finally:
        for part, mode in modes:
            part.training = mode


def spectral(players: Mapping[str, nn.Module], name: str) -> float | None:
    """The largest top singular value over the layers of a player; None where it has no such player or weights."""
    values = [top_singular_value(matrix) for matrix in matrices(players[name])] if name in players else []
    return max(values) if values else None


def dead_share(ranges: Mapping[nn.Module, tuple[Tensor, Tensor]]) -> float | None:
    """Share of feature maps that have one value everywhere, from their least and largest values (C,).

    Only parts without weights count (activations), where the network has such: what a convolution makes of dead maps
    is not constant, and would hide them.
    """
    plain = [span for part, span in ranges.items() if not any(True for _ in part.parameters())]
    kept = [span for span in plain or list(ranges.values()) if bool(torch.cat(span).isfinite().all())]
    if not kept:
        return None
    still = torch.cat([(high - low) <= 1e-6 * torch.maximum(high.abs(), low.abs()) for low, high in kept])
    return float(still.double().mean())
