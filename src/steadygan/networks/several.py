"""Networks of which each sample takes one of several ways: coupled layers, several generators."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from steadygan.networks.contract import Body, checked_label
from steadygan.runtime import processes

Way = Callable[..., Tensor]


def routed(which: Tensor, ways: Sequence[Way], *values: Tensor | None) -> Tensor:
    """Sample i by way ``which[i]``: each way is passed once, by its own samples together, in their order.

    ``which`` (N,) holds numbers below ``len(ways)``; ``values`` are (N, ...) or None. A way without a sample is not
    passed at all, so statistics of a batch are those of a way's own samples. With several processes a way is passed by
    all of them, or by none.
    """
    order = which.argsort(stable=True)
    counts = torch.bincount(which, minlength=len(ways)).tolist()
    parts = [None if one is None else torch.split(one[order], counts) for one in values]
    made = []
    of_all = processes.counts(torch.tensor(counts)) if processes.acting() > 1 else [counts]
    for number, way in enumerate(ways):
        rows = [one[number] for one in of_all]
        if any(rows):
            with processes.dealt(rows):
                made.append(way(*(None if part is None else part[number] for part in parts)))
    together: Tensor = torch.cat(made)[order.argsort()]
    return together


class Several(nn.Module):
    """Several generators as one: the last values of the latent say, one-hot, which of them makes a sample.

    Args:
        generators: each takes latents (N, Z) and labels (N,) or None to images (N, C, H, W).
    """

    def __init__(self, generators: Sequence[nn.Module]) -> None:
        super().__init__()
        self.generators = nn.ModuleList(generators)

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """Images (N, C, H, W) of latents (N, Z + number of generators) and labels (N,)."""
        own, which = latent[:, : -len(self.generators)], latent[:, -len(self.generators) :].argmax(1)
        return routed(which, list(self.generators), own, label)


class Forked(Body):
    """Layers shared by all labels, then layers of each label's own; or the other way round.

    Args:
        shared: the layers of all.
        own: for each label its layers.
        last: whether the labels' own layers come last (a generator) or first (a discriminator).
    """

    def __init__(self, shared: nn.Module, own: Sequence[nn.Module], *, last: bool) -> None:
        super().__init__()
        self.shared, self.own, self.last = shared, nn.ModuleList(own), last

    def forward(self, values: Tensor, label: Tensor | None) -> Tensor:
        """(N, ...) and labels (N,) to what the last layers give. Raises SteadyganError for a missing or wrong label."""
        which = checked_label(label, len(values), True, "generator" if self.last else "discriminator")
        assert which is not None
        if self.last:
            return routed(which, list(self.own), self.shared(values))
        together: Tensor = self.shared(routed(which, list(self.own), values))
        return together
