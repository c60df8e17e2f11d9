"""Real images: sources, cache, split, order and augmentation.

``open_data`` is the way in. What needs torch (``augmentation``, ``mixtures``) is imported from its own module, so that
decoding needs none.
"""

from __future__ import annotations

from steadygan.data.dataset import DataSet, write_quarantine
from steadygan.data.order import Order
from steadygan.data.sources import SOURCES, open_data

__all__ = ["SOURCES", "DataSet", "Order", "open_data", "write_quarantine"]
