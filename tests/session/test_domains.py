"""Coupled pairs over domains of one set: trained, stopped and resumed, sampled, measured, refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

import steadygan
from steadygan.config import DataConfig
from steadygan.data.sources import open_data
from steadygan.errors import SteadyganError
from steadygan.game import checkpoint

TINY = (
    "batch=16", "threads=1", "latent.size=8", "record_every=16", "checkpoint_every=64", "sample_every=64",
    "sample_count=4", "generator.network.capacity=4", "discriminator.network.capacity=4", "keep=10",
    'data.domains=["plain","edge"]',
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, _own_cache: None) -> Path:
    path = tmp_path_factory.mktemp("domains") / "run"
    steadygan.train("digits", recipe="cogan", images=256, out=path, set=TINY)
    return path


def test_a_latent_under_each_label_gives_a_pair(run: Path) -> None:
    trained = steadygan.load(run)
    assert (trained.config.classes, trained.config.data.domains) == (2, ("plain", "edge"))
    plain, edges = (trained.sample(6, seed=3, label=label) for label in (0, 1))
    assert not torch.allclose(plain, edges)
    turns = trained.sample(6, seed=3)
    assert torch.equal(turns[0::2], plain[0::2])
    assert torch.equal(turns[1::2], edges[1::2])
    with pytest.raises(SteadyganError, match="label 2 is not a class of this run: choose from 0 to 1"):
        trained.sample(1, label=2)


def test_a_stopped_run_finds_its_domains_again(run: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(run, again)
    for newer in checkpoint.listed(again / "checkpoints")[:2]:
        shutil.rmtree(newer)
    resumed = steadygan.resume(again)
    assert (again / "records.jsonl").read_bytes() == (run / "records.jsonl").read_bytes()
    assert torch.equal(resumed.sample(4), steadygan.load(run).sample(4))


def test_measured_against_the_domains_too(run: Path) -> None:
    found = steadygan.evaluate(run, metrics="fid", features="pixels", count=64, seeds=2)
    assert found["fid"].protocol.data == open_data(steadygan.load(run).config.data).fingerprint
    assert found["fid"].protocol.data != open_data(DataConfig()).fingerprint


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ('data.domains=["plain"]', "data.domains has only 'plain'"),
        ('data.domains=["plain","edges"]', "unknown domain 'edges': did you mean 'edge'"),
    ],
)
def test_bad_domains_are_refused_before_anything_is_written(given: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(SteadyganError, match=said) as caught:
        steadygan.train("digits", recipe="cogan", images=32, out=tmp_path / "run", set=[*TINY[:-1], given])
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()
