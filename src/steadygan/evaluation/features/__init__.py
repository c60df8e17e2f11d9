"""Feature networks: images in, features (and class probabilities) out, each with the hash of what it is."""

from __future__ import annotations

from steadygan.evaluation.features.reading import FeatureNetwork, Reading, read
from steadygan.evaluation.features.table import FEATURES, open_features, own_judge

__all__ = ["FEATURES", "FeatureNetwork", "Reading", "open_features", "own_judge", "read"]
