"""Latents: the generator's random input, by distribution."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from steadygan.errors import SteadyganError, unknown


def normal(
    count: int, size: int, generator: torch.Generator | None = None, device: torch.device | None = None
) -> Tensor:
    """N(0, I), (count, size)."""
    return torch.randn(count, size, generator=generator, device=device)


def uniform(
    count: int, size: int, generator: torch.Generator | None = None, device: torch.device | None = None
) -> Tensor:
    """U(-1, 1), (count, size)."""
    return torch.rand(count, size, generator=generator, device=device) * 2 - 1


def sphere(
    count: int, size: int, generator: torch.Generator | None = None, device: torch.device | None = None
) -> Tensor:
    """Normal scaled to length sqrt(size), so that every latent is as long as a typical normal one, (count, size)."""
    latent = normal(count, size, generator, device)
    length = torch.linalg.vector_norm(latent, dim=1, keepdim=True)
    scaled: Tensor = latent * (size**0.5 / length.clamp_min(1e-12))
    return scaled


Latents = Callable[[int, int, torch.Generator | None, torch.device | None], Tensor]

LATENTS: dict[str, Latents] = {"normal": normal, "uniform": uniform, "sphere": sphere}


@dataclass(frozen=True)
class Code:
    """A part of the latent with a meaning: one of ``choices`` as a one-hot vector, or a single value in [low, high]."""

    start: int
    choices: int = 0
    low: float = -1.0
    high: float = 1.0

    @property
    def size(self) -> int:
        """How many of the latent's values it takes up."""
        return self.choices or 1

    @property
    def place(self) -> slice:
        """Where it stands in the latent."""
        return slice(self.start, self.start + self.size)

    def written(self, name: str, value: float) -> Tensor:
        """``value`` as it stands in the latent, (size,). Raises SteadyganError for one out of range."""
        if not self.choices:
            if not self.low <= value <= self.high:
                raise SteadyganError(
                    f"code {name}={value:g} is out of range", f"choose from {self.low:g} to {self.high:g}"
                )
            return torch.tensor([float(value)])
        if value != int(value) or not 0 <= value < self.choices:
            raise SteadyganError(
                f"code {name}={value:g} is none of its choices", f"choose a whole number from 0 to {self.choices - 1}"
            )
        return torch.nn.functional.one_hot(torch.tensor(int(value)), self.choices).float()


@dataclass(frozen=True)
class Latent:
    """The latents of a game: ``draw(count, size, source, device)`` gives (count, size); ``codes`` are parts of them."""

    size: int
    draw: Latents
    codes: Mapping[str, Code] = field(default_factory=dict)

    def __call__(self, count: int, source: torch.Generator | None = None, device: torch.device | None = None) -> Tensor:
        """``count`` latents (count, size)."""
        return self.draw(count, self.size, source, device)

    def with_codes(self, latent: Tensor, given: Mapping[str, float]) -> Tensor:
        """The latents with the codes that are given in place of those drawn.

        Raises:
            SteadyganError: a name or a value that these latents do not have.
        """
        if given and not self.codes:
            raise SteadyganError("this run's latent has no codes", "leave the code out")
        latent = latent.clone() if given else latent
        for name, value in given.items():
            if name not in self.codes:
                raise unknown("code", name, self.codes)
            latent[:, self.codes[name].place] = self.codes[name].written(name, value).to(latent)
        return latent


def coded(noise: int, draw: Latents, choices: Mapping[str, int], values: Sequence[str] = ()) -> Latent:
    """Noise of ``noise`` values, then codes: one-hot of so many choices each, drawn evenly, and values of U(-1, 1).

    Paper: Chen et al. 2016 (InfoGAN).
    """
    codes, start = dict[str, Code](), noise
    for name, count in choices.items():
        codes[name] = Code(start, count)
        start += count
    for name in values:
        codes[name] = Code(start)
        start += 1

    def drawn(count: int, size: int, source: torch.Generator | None, device: torch.device | None) -> Tensor:
        parts = [draw(count, noise, source, device)] if noise else []
        for code in codes.values():
            if code.choices:
                which = torch.randint(code.choices, (count,), generator=source, device=device)
                parts.append(torch.nn.functional.one_hot(which, code.choices).to(torch.get_default_dtype()))
            else:
                parts.append(uniform(count, 1, source, device))
        return torch.cat(parts, 1)

    return Latent(start, drawn, codes)
