"""The table of programs that a run can be handed on to."""

from __future__ import annotations

from steadygan.config import RunConfig
from steadygan.report.mlflow import MLflow
from steadygan.report.tensorboard import TensorBoard
from steadygan.report.tracker import Tracker
from steadygan.report.wandb import WandB

TRACKERS: dict[str, type[Tracker]] = {one.name: one for one in (TensorBoard, WandB, MLflow)}
"""By the setting that turns each on."""


def wanted(config: RunConfig) -> list[type[Tracker]]:
    """Those that the settings ask for."""
    return [one for name, one in TRACKERS.items() if getattr(config, name)]
