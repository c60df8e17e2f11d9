"""The gain of layers, and a limit to it."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from steadygan.runtime import shards


@torch.no_grad()
def limit_gains_(parameters: Iterable[Tensor], most: float) -> None:
    """Scale every table of weights whose gain is above ``most`` times the median of them down to that.

    The gain is the length of the weights over the root of the number of outputs: what noise of size 1 comes out as. It
    is compared within a player, so that it needs no unit; layers that start at 0 are left out. Nothing waits for the
    device.
    Papers: Srebro et al. 2005; Srivastava et al. 2014 (constraints on the norm of weights).
    """
    weights = [parameter for parameter in parameters if parameter.dim() > 1]
    if not weights:
        return
    outputs = torch.tensor([math.sqrt(len(weight)) for weight in weights], device=weights[0].device)
    own = shards.local(weights)
    gains = shards.norms(own, any(map(shards.spread, weights))) / outputs
    usual = torch.nanmedian(torch.where(gains > 0, gains, torch.nan))
    torch._foreach_mul_(own, list((most * usual / gains).nan_to_num(1.0).clamp(max=1.0)))
