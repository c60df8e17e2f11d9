"""A run over shards: stopped in mid-epoch it goes on to the same bits, and all else reads them as any set."""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import steadygan
from steadygan import api
from steadygan.data.sources import open_data
from steadygan.errors import SteadyganError
from steadygan.game import checkpoint

TINY = (
    "batch=16", "accumulate=2", "threads=1", "latent.size=8", "record_every=16", "checkpoint_every=64",
    "sample_every=64", "sample_count=4", "generator.network.capacity=4", "discriminator.network.capacity=4", "keep=10",
)  # fmt: skip


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few images and windows of a few blocks."""
    monkeypatch.setattr("steadygan.data.shelf.BLOCK", 8192)
    monkeypatch.setattr("steadygan.data.lazy.BLOCK", 8192)
    monkeypatch.setattr("steadygan.data.order.WINDOW", 4)


@pytest.fixture
def source(tmp_path: Path) -> str:
    generator = np.random.default_rng(0)
    for number in range(3):
        with tarfile.open(tmp_path / f"part-{number}.tar", "w") as tar:
            for one in range(34):
                file = io.BytesIO()
                Image.fromarray(generator.integers(0, 256, (8, 8), dtype=np.uint8)).save(file, "PNG")
                for ending, data in (("cls", str(one % 2).encode()), ("png", file.getvalue())):
                    member = tarfile.TarInfo(f"{one:04d}.{ending}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
    return str(tmp_path / "part-{0..2}.tar")


def test_a_stopped_run_goes_on_in_mid_epoch_and_is_measured(small: None, source: str, tmp_path: Path) -> None:
    run, again = tmp_path / "run", tmp_path / "again"
    steadygan.train(source, recipe="dcgan", images=256, out=run, set=TINY)
    shutil.copytree(run, again)
    for newer in checkpoint.listed(again / "checkpoints")[:3]:
        shutil.rmtree(newer)
    resumed = steadygan.resume(again)  # at 64 of 97 images of the first epoch
    assert (again / "records.jsonl").read_bytes() == (run / "records.jsonl").read_bytes()
    assert torch.equal(resumed.sample(4), steadygan.load(run).sample(4))
    data = open_data(resumed.config.data)
    assert not isinstance(data.images, np.ndarray)
    assert data.classes == 2
    found = steadygan.evaluate(run, metrics="fid", features="pixels", count=32, seeds=2)
    assert found["fid"].protocol.data == data.fingerprint


def test_shards_are_found_again_from_another_folder(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    planned = api.plan("part-{0..2}.tar", recipe="dcgan", images=64, set=TINY)
    assert planned.config.data.source == source


def test_shards_that_changed_are_other_data(source: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    steadygan.train(source, recipe="dcgan", images=128, out=run, set=TINY)
    for newer in checkpoint.listed(run / "checkpoints")[:1]:
        shutil.rmtree(newer)
    (tmp_path / "part-2.tar").write_bytes((tmp_path / "part-1.tar").read_bytes())
    with pytest.raises(SteadyganError, match="data"):
        steadygan.resume(run)
