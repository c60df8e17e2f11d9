"""No network of torchvision is needed in a round."""

from __future__ import annotations

from torchvision.absent import absent as __getattr__

__all__ = ["__getattr__"]
