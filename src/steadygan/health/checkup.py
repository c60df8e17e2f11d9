"""The check-up: all signals of the game at one moment, measured without touching it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from steadygan.errors import SteadyganError
from steadygan.health.signal_baseline import Baseline
from steadygan.health.signal_material import CheckUp, Patient
from steadygan.health.signals import SIGNALS, Signal

__all__ = ["Baseline", "CheckUp", "Patient", "examine"]


def examine(
    patient: Patient,
    baseline: Baseline,
    memory: Mapping[str, Tensor],
    count: int,
    *,
    without: Collection[str] = (),
    table: Mapping[str, Signal] | None = None,
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """All signals that can be had, by name, and the memory for the next check-up.

    A signal that cannot be had is left out, never NaN. Changes nothing: no random numbers, no gradients left, no mode
    turned, no buffer touched.

    Args:
        patient: the game, as far as health may see it.
        baseline: the reals, from ``Baseline.of`` of the patient's images.
        memory: what the last check-up gave back; empty at first.
        count: fakes of each kind, at least 2.
        without: signals that are not wanted.
        table: other signals than ``SIGNALS``.
    """
    checkup = CheckUp(patient, baseline, memory, count)
    found: dict[str, float] = {}
    for name, signal in (SIGNALS if table is None else table).items():
        if name in without:
            continue
        value = _measured(signal, checkup)
        if value is not None:
            found[name] = value
    return found, checkup.remember()


def _measured(signal: Signal, checkup: CheckUp) -> float | None:
    """The signal's value; None where it cannot be had, is not finite, or its arithmetic refuses the material."""
    try:
        with torch.no_grad():
            value = signal.measure(checkup)
    except SteadyganError:
        return None
    return float(value) if value is not None and math.isfinite(value) else None
