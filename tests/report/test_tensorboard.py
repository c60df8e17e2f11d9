"""Event files say what the records say, once."""

from __future__ import annotations

import io
import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import steadygan
from steadygan.errors import Stopped
from steadygan.session.watching import Silent

pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")

SMALL = (
    *("threads=1", "batch=16", "sample_count=4", "sample_every=64", "checkpoint_every=64", "tensorboard=true"),
    *("generator.network.hidden=[16]", "discriminator.network.hidden=[16]"),
)


class StopAt(Silent):
    """Asks for a stop when so many images were seen."""

    def __init__(self, images_seen: int) -> None:
        self.images_seen = images_seen

    def record(self, line: Mapping[str, Any], pace: object, health: str) -> None:
        if line["images_seen"] == self.images_seen:
            os.kill(os.getpid(), signal.SIGTERM)


def read(run: Path) -> tuple[dict[str, list[tuple[int, float]]], list[tuple[int, bytes]]]:
    """Every scalar and image in all event files, raw: nothing that TensorBoard itself would leave out is left out."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    scalars: dict[str, list[tuple[int, float]]] = {}
    pictures = []
    for path in sorted((run / "tensorboard").iterdir()):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "images":
                    pictures.append((event.step, value.tensor.string_val[2]))
                elif value.tensor.float_val:
                    scalars.setdefault(value.tag, []).append((event.step, value.tensor.float_val[0]))
    return scalars, pictures


def check(run: Path) -> None:
    records = [json.loads(line) for line in (run / "records.jsonl").read_text().splitlines()]
    scalars, pictures = read(run)
    assert set(scalars) == {name for line in records for name in line if "/" in name}
    for name, points in scalars.items():
        # the signals of a check-up stand in some records only
        lines = [line for line in records if name in line]
        assert [step for step, _ in points] == [line["images_seen"] for line in lines]
        assert np.allclose([value for _, value in points], [line[name] for line in lines], rtol=1e-5)
    grids = sorted((run / "samples").glob("[0-9]*.png"))
    assert [step for step, _ in pictures] == [int(path.stem) for path in grids]
    for (_, body), path in zip(pictures, grids, strict=True):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(body))), np.asarray(Image.open(path).convert("RGB")))


def test_a_run_in_one_go(tmp_path: Path) -> None:
    steadygan.train("digits", recipe="mlp", images=256, out=tmp_path / "run", set=SMALL)
    check(tmp_path / "run")


def test_a_run_in_several_sittings_has_no_point_twice(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(Stopped):
        steadygan.train("digits", recipe="mlp", images=256, out=run, set=SMALL, watcher=StopAt(112))
    check(run)
    # as after a kill: what came after the last checkpoint is lost, and played again
    newest = max((run / "checkpoints").iterdir())
    for path in newest.iterdir():
        path.unlink()
    with pytest.raises(Stopped):
        steadygan.resume(run, watcher=StopAt(160))
    check(run)
    steadygan.resume(run)
    check(run)
    steadygan.resume(run)
    check(run)


def test_without_the_setting_nothing_is_written(tmp_path: Path) -> None:
    steadygan.train("digits", recipe="mlp", images=32, out=tmp_path / "run", set=[*SMALL, "tensorboard=false"])
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_values_that_are_not_finite_are_left_out_and_a_full_disk_is_borne(tmp_path: Path) -> None:
    from steadygan.config import NetworkConfig, PlayerConfig, RunConfig
    from steadygan.report.tensorboard import TensorBoard

    (tmp_path / "samples").mkdir()
    (tmp_path / "records.jsonl").write_text('{"images_seen": 8, "a/loss": null, "b/loss": 1.5}\n')
    config = RunConfig(players={"generator": PlayerConfig(network=NetworkConfig(name="mlp"))})
    with TensorBoard(tmp_path) as events:
        events.begin(config, 8)
        events.record({"images_seen": 16, "a/loss": float("inf"), "b/loss": 2.5}, None, "steady")

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        events._writer.add_scalar, kept = full, events._writer.add_scalar
        events.record({"images_seen": 24, "b/loss": 3.5}, None, "steady")
        events._writer.add_scalar = kept
    assert read(tmp_path)[0] == {"b/loss": [(8, 1.5), (16, 2.5)]}
