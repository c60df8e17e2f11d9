"""The standard game of a generator with styles: mixing in training, and the length of paths evened out.

Papers: Karras et al. 2019 (mixing), Karras et al. 2020 (path length).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import cast

import torch
from pydantic import Field
from torch import Tensor

from steadygan.config import RunConfig, Settings
from steadygan.data.dataset import DataSet
from steadygan.errors import SteadyganError
from steadygan.game.move import Move, Play, Term, Terms
from steadygan.games.adversarial import AdversarialGame, Seen
from steadygan.games.family import Family, Kit, Knob
from steadygan.networks.style import StyleGenerator
from steadygan.runtime import processes

FORGETS = 0.05
"""Share of the newest lengths in their running mean; 0.01 in the paper, whose runs are hundreds of times longer."""
MEAN = "path_length"


class StyleOptions(Settings):
    """How styles are mixed and paths evened out."""

    mixing: float = Field(0.5, ge=0.0, le=1.0)
    """Share of fakes in training whose finer layers get the style of another latent; the control ``mixing``."""
    path_length: float = Field(2.0, ge=0.0)
    """Weight of path length regularisation; the control ``path_length``."""
    path_every: int = Field(8, ge=1, le=1000)
    """It is applied every that many rounds with ``path_length * path_every``."""
    path_share: float = Field(0.5, gt=0.0, le=1.0)
    """Share of the batch that it looks at."""


def mix(styles: Tensor, others: Tensor, layers: int, share: float) -> Tensor:
    """A style for every layer, (N, L, W): with probability ``share`` the other one from a random layer on.

    The layer is uniform over 1 to L - 1, so that both styles have a part.
    """
    count = len(styles)
    if layers < 2 or share <= 0:
        return styles[:, None].expand(-1, layers, -1)
    device = styles.device
    crossing = processes.drawn(count, lambda number: torch.randint(1, layers, (number,), device=device))
    unmixed = processes.drawn(count, lambda number: torch.rand(number, device=device)) >= share
    crossing = torch.where(unmixed, layers, crossing)
    theirs = torch.arange(layers, device=styles.device) >= crossing[:, None]
    return torch.where(theirs[:, :, None], others[:, None], styles[:, None])


def path_lengths(images: Tensor, styles: Tensor, noise: Tensor) -> Tensor:
    """How far the images move with their styles: (N,) of ``|J^T y|``, for images y of unit noise over √(H W).

    For styles (N, L, W) it is the root of the mean over layers of the squared lengths; J is the Jacobian of the image
    with respect to one layer's style. Over y its mean square is ``|J|_F^2 / (H W)``.
    """
    spread = (images * noise).sum() / (images.shape[2] * images.shape[3]) ** 0.5
    (slope,) = torch.autograd.grad(spread, styles, create_graph=True)
    length: Tensor = torch.linalg.vector_norm(slope.flatten(1), dim=1) / slope.shape[1] ** 0.5
    return length


class StyleGame(AdversarialGame):
    """The standard game with fakes of mixed styles."""

    def fakes(self, play: Play, label: Tensor | None) -> tuple[Tensor, Tensor]:
        """New latents, and the fakes of their styles, some of them mixed with those of further latents."""
        real = play.batch.real
        generator = cast(StyleGenerator, play.players["generator"])
        latent, other = (self.latent(len(real), play.device).to(real.dtype) for _ in range(2))
        styles, share = generator.map(latent, label), play.controls["mixing"]
        others = generator.map(other, label) if share > 0 else styles
        made = generator.synthesise(mix(styles, others, generator.layers, share))
        return latent, made.to(real.dtype)


def _some(values: Tensor, share: float) -> Tensor:
    """The first rows of the batch, dealt evenly to the processes anew where there are several."""
    values, world = processes.whole(values), processes.acting()
    count = max(1, round(len(values) * share / world)) * world
    return processes.share(values[:count])


def path_term(options: StyleOptions, play: Play, seen: Seen) -> Terms:
    """``(|J^T y| - a)^2`` where a is the running mean of the lengths: steps in style change images evenly."""
    weight = play.controls["path_length"]
    if weight <= 0 or play.round % options.path_every:
        return {}
    latent, label = _some(seen.latent, options.path_share), seen.label
    label = None if label is None else _some(label, options.path_share)
    generator = cast(StyleGenerator, play.players["generator"])
    with torch.autocast(play.device.type, enabled=False):
        styles = generator.map(latent, label)[:, None].expand(-1, generator.layers, -1)
        images = generator.synthesise(styles)
        lengths = path_lengths(images, styles, processes.noise(images))
    # the mean begins at the first lengths: from 0 it would shorten all paths, and so blur styles, for a whole short run
    now = processes.mean(lengths.detach().mean())
    mean = torch.lerp(play.memory.get(MEAN, now).to(now.dtype), now, FORGETS)
    play.memory[MEAN] = mean
    play.note("generator/path_length", lengths.mean())
    return {"auxiliary/path_length": Term((lengths - mean).square(), weight * options.path_every)}


def _moves(kit: Kit) -> tuple[Move, ...]:
    given = {one.name: getattr(kit.adversarial, one.name) for one in fields(kit.adversarial)}
    game = StyleGame(**given)
    options: StyleOptions = kit.options
    extras = {**game.extras, "generator": (lambda play, seen: path_term(options, play, seen),)}
    return replace(game, extras=extras).moves()


def _controls(config: RunConfig, options: StyleOptions) -> Mapping[str, Knob]:
    return {"mixing": (options.mixing, 0.0, 1.0), "path_length": (options.path_length, 0.0, float("inf"))}


def _check(config: RunConfig, options: StyleOptions, data: DataSet) -> None:
    name = config.players["generator"].network.name
    if name != "style" and ":" not in name:
        raise SteadyganError(
            f"the game 'style' needs a generator with styles, and {name!r} has none",
            "set generator.network.name=style",
        )


STYLE = Family(_moves, options=StyleOptions, controls=_controls, check=_check)
"""A mapping and a synthesis in styles against any discriminator."""
