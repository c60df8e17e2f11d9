"""What the recipes of families that encode share."""

from __future__ import annotations

from typing import Any

from steadygan.config import LatentConfig, PenaltyConfig, constant
from steadygan.recipes.facts import DataFacts
from steadygan.recipes.parts import batch_for

FEW = 20_000
"""Fewer images than this are drawn in small batches: a short run then has rounds enough."""


def drawn(facts: DataFacts) -> dict[str, Any]:
    """The batch: 16 where images are few, else the usual."""
    return {"batch": min(16, batch_for(facts)) if facts.count < FEW else batch_for(facts)}


def judged(facts: DataFacts) -> dict[str, Any]:
    """The batch, and R1 of .1 where images are few, without which a discriminator of images soon wins by far."""
    return drawn(facts) | ({"penalties": {"r1": PenaltyConfig(weight=constant(0.1))}} if facts.count < FEW else {})


def narrow(facts: DataFacts) -> LatentConfig:
    """Few values, since an autoencoder's samples suffer from each that images leave unused: 16, or 32 above 32 x 32."""
    return LatentConfig(size=16 if facts.pixels <= 32 * 32 else 32)
