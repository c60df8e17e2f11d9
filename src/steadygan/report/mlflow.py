"""A run as MLflow has it: on the disk, unless the person has named a server by ``MLFLOW_TRACKING_URI``."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from steadygan.config import RunConfig
from steadygan.report.tracker import Tracker

EXPERIMENT = "steadygan"
LONGEST = 500
"""Characters that a parameter's value may have."""


class _Writer(NamedTuple):
    client: Any
    run: str


class MLflow(Tracker):
    """Hands a run on to MLflow."""

    name = package = "mlflow"

    def open(self, folder: Path, config: RunConfig) -> Any:
        """A run of the experiment ``steadygan`` with the settings as its parameters."""
        from mlflow import MlflowClient

        # plain files need no data base; newer versions want to be told that they are meant
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        client = MlflowClient(tracking_uri=os.environ.get("MLFLOW_TRACKING_URI") or folder.resolve().as_uri())
        known = client.get_experiment_by_name(EXPERIMENT)
        experiment = client.create_experiment(EXPERIMENT) if known is None else known.experiment_id
        run = client.create_run(experiment, run_name=self.run.resolve().name).info.run_id
        for key, value in config.model_dump(mode="json").items():
            client.log_param(run, key, str(value)[:LONGEST])
        return _Writer(client, run)

    def scalars(self, values: Mapping[str, float], images_seen: int) -> None:
        """Write all values of a record at once."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, images_seen) for name, value in values.items()]
        self._writer.client.log_batch(self._writer.run, metrics=metrics)

    def image(self, path: Path, images_seen: int) -> None:
        """Keep a grid under ``samples``; its name is the clock."""
        self._writer.client.log_artifact(self._writer.run, str(path), "samples")

    def close(self) -> None:
        """Say that the run has ended."""
        self._writer.client.set_terminated(self._writer.run)
