"""What a run was made with, and whether it can go on with what is there now."""

from __future__ import annotations

import json
import platform
import sys
import time
from typing import Any

import torch
from pydantic import ValidationError

from steadygan import __version__
from steadygan.config import RunConfig
from steadygan.runtime import devices, processes, storage
from steadygan.runtime.folder import RunFolder
from steadygan.session.settings import flat

FREE = ("keep", "milestones", "tensorboard", "wandb", "mlflow", "why", "data.source", "data.folder", "data.download")
"""Settings that do not touch the trajectory and may be changed between two sittings; the data's content is compared."""


def differences(then: Any, config: RunConfig, data_then: str, data_now: str) -> list[str]:
    """What has changed since the checkpoint was written, in words; empty where nothing that matters has."""
    old, new = flat(_completed(then)), flat(json.loads(config.model_dump_json()))
    free = {key for key in new if key in FREE or (key.startswith("players.") and key.endswith(".sharded"))}
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key) and key not in free]
    found = [f"{key} was {old.get(key)!r}, is {new.get(key)!r}" for key in keys]
    if data_then != data_now:
        found.append(f"the data was {data_then[:12]}, is {data_now[:12]}")
    return found


def _completed(then: Any) -> Any:
    """The config of an older version with the settings that came later, which stood at their defaults."""
    try:
        return json.loads(RunConfig(**then).model_dump_json())
    except (TypeError, ValidationError):
        return then


def describe(folder: RunFolder, device: torch.device, config: RunConfig, images_seen: int) -> None:
    """Note this sitting in ``environment.json``: versions, machine, threads, and where on the clock it starts."""
    path = folder.environment
    try:
        sittings = json.loads(path.read_text())["sittings"]
    except (OSError, ValueError, KeyError, TypeError):
        sittings = []
    sittings.append(
        {
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "images_seen": images_seen,
            "steadygan": __version__,
            "torch": torch.__version__,
            "python": sys.version.split()[0],
            "system": platform.platform(),
            "device": devices.describe(device),
            "threads": config.threads,
            "processes": processes.count(),
            "command": sys.argv,
        }
    )
    storage.write_file(path, json.dumps({"sittings": sittings}, indent=1))
