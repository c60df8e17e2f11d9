"""Randomness as a function of where we are: ``(seed, rank, attempt, images_seen)``, never of how we got here."""

from __future__ import annotations

import hashlib

import numpy as np
import torch


def derive(*parts: int | str) -> int:
    """A 63-bit seed from any place names; equal parts give equal seeds on every machine."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def reseed(*parts: int | str) -> None:
    """Set torch's global generators (CPU and every GPU) to the seed derived from ``parts``."""
    seed = derive(*parts)
    # torch.manual_seed asks after every kind of device and costs a tenth of a millisecond a round
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(seed)


def generator(*parts: int | str) -> torch.Generator:
    """A CPU generator of its own, for draws that must not disturb the round (samples, fixed latents)."""
    return torch.Generator().manual_seed(derive(*parts))


def numpy_generator(*parts: int | str) -> np.random.Generator:
    """The same for numpy's draws (orders of rows)."""
    return np.random.default_rng(derive(*parts))
