"""The check-up: all signals of the game at one moment, measured without touching it."""

from __future__ import annotations

from steadygan.health.signal_baseline import Baseline
from steadygan.health.signal_material import CheckUp, Patient
from steadygan.health.signals import SIGNALS, Signal, examine

__all__ = ["SIGNALS", "Baseline", "CheckUp", "Patient", "Signal", "examine"]
