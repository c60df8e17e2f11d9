"""A run as Weights & Biases has it: on the disk, unless the person has said otherwise by ``WANDB_MODE``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steadygan.config import RunConfig
from steadygan.report.tracker import Tracker

CLOCK = "images_seen"


class WandB(Tracker):
    """Hands a run on to Weights & Biases, with nothing about the machine but what a run's settings say."""

    name = package = "wandb"

    def open(self, folder: Path, config: RunConfig) -> Any:
        """A run of the project ``steadygan``, whose clock is ``images_seen``: it may go back, as rollbacks do."""
        import wandb

        run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "steadygan"),
            name=self.run.resolve().name,
            dir=str(folder),
            config=config.model_dump(mode="json"),
            # nothing leaves the machine unasked
            mode=os.environ.get("WANDB_MODE", "offline"),
            settings=wandb.Settings(silent=True, console="off", disable_git=True, save_code=False),
        )
        run.define_metric(CLOCK)
        run.define_metric("*", step_metric=CLOCK)
        return run

    def scalars(self, values: Mapping[str, float], images_seen: int) -> None:
        """Write all values of a record at once."""
        self._writer.log({CLOCK: images_seen, **values})

    def image(self, path: Path, images_seen: int) -> None:
        """Write a grid under ``samples``."""
        import wandb

        self._writer.log({CLOCK: images_seen, "samples": wandb.Image(str(path))})

    def close(self) -> None:
        """Finish the run."""
        self._writer.finish()
