"""The built-in set that needs no files: scikit-learn's handwritten digits."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from steadygan.errors import SteadyganError


def load_digits() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], tuple[str, ...], dict[str, Any]]:
    """1,797 handwritten digits of 8x8 pixels, their values 0..16 scaled to 0..255.

    Returns:
        Images (1797, 1, 8, 8) uint8, labels (1797,) int64, names of the ten classes, and facts.

    Raises:
        SteadyganError: scikit-learn is not installed.
    """
    try:
        from sklearn import datasets
    except ImportError as fault:
        raise SteadyganError("the built-in set 'digits' needs scikit-learn", "pip install scikit-learn") from fault
    found = datasets.load_digits()
    images = np.rint(found.images * (255.0 / 16.0)).astype(np.uint8)[:, None]
    facts = {"origin": "scikit-learn's test part of the UCI optical digits, values 0..16 scaled to 0..255"}
    return images, found.target.astype(np.int64), tuple(str(digit) for digit in range(10)), facts
