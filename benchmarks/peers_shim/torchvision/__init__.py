"""A stand-in for torchvision with what the peers of ``benchmarks/peers.py`` ask of it; none of its code.

The data come from the benchmark, equal for everybody, and pictures that a peer saves on its way cost it nothing.
"""

from __future__ import annotations

from torchvision import datasets, models, transforms, utils

__all__ = ["datasets", "models", "transforms", "utils"]
