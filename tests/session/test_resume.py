"""A run that was stopped anywhere and resumed ends in the same bits as one that never was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from steadygan.recipes import RECIPES

LAZY = ("penalties.r1.weight=1", "penalties.r1.every=3", "penalties.r2.weight=0.5", "penalties.r2.every=2")
SPECTRAL = ("generator.network.spectral_norm=true", "discriminator.network.spectral_norm=true")
VIRTUAL = ("generator.network.normalisation=virtual-batch", "discriminator.network.normalisation=virtual-batch")
CONDITIONAL = ("generator.network.conditional=true", "discriminator.network.conditional=true")
EXTRAS = {
    "lookahead": ("dcgan", "generator.optimizer.lookahead_every=5", "discriminator.optimizer.lookahead_every=3"),
    "optimistic": ("dcgan", "generator.optimizer.name=optimistic-adam", "discriminator.optimizer.name=optimistic-adam"),
    "adamw and momentum": (
        "dcgan",
        "generator.optimizer.name=adamw",
        "generator.optimizer.weight_decay=0.1",
        "discriminator.optimizer.name=sgd",
        "discriminator.optimizer.momentum=0.9",
    ),
    "lecam": ("dcgan", "lecam=0.3"),
    "historical": ("dcgan", "generator.historical_averaging=0.1", "discriminator.historical_averaging=0.1"),
    "weight penalties": ("dcgan", "generator.weight_penalties.orthogonal=1", "discriminator.weight_penalties.l2=1"),
    "ada by signs": ("dcgan", "augmentation.policy=[\"colour\",\"translate\"]", "augmentation.adaptive=true",
                     "augmentation.target=0.1", "augmentation.speed=100"),
    "ada by held-out": ("r3", "augmentation.speed=100", "augmentation.target=0.01", "data.flip=true"),
    "label flipping": ("dcgan", "label_flipping=0.2", "label_smoothing=0.1"),
    "top-k": ("dcgan", "top_k=0.5"),
    "packing": ("dcgan", "packing=2"),
    "virtual batch": ("dcgan", *VIRTUAL),
    "spectral norm": ("dcgan", *SPECTRAL),
    "dropout and statistics": ("dcgan", "discriminator.network.dropout=0.3", "discriminator.network.minibatch_std=true",
                               "discriminator.network.minibatch_discrimination=true"),
    "accumulate": ("r3", "accumulate=2"),
    "five steps": ("dcgan", "discriminator.steps=5", "generator.steps=2"),
    "fakes of its own": ("r3", "share_fakes=false"),
    "flip": ("dcgan", "data.flip=true"),
    "average": ("dcgan", "average.half_life=50", "average.ramp_up=0"),
    "average over a schedule": ("mlp", 'average.half_life={"kind":"linear","value":10,"end":100}'),
    "lazy penalties": ("mlp", *LAZY),
    "instance noise": ("dcgan", 'instance_noise={"kind":"linear","value":0.5,"end":0,"finish":64}'),
    "cosine rates": ("mlp", 'generator.optimizer.learning_rate={"kind":"cosine","value":0.001,"warm_up":30}'),
    "clipped and normalised": ("dcgan", "discriminator.clip_norm=0.1", "generator.normalise_gradient=true"),
    "feature matching": ("dcgan", "feature_matching=0.5"),
    "spectrum matching": ("dcgan", "spectrum_matching=1.0"),
    "classes": ("dcgan", *CONDITIONAL),
    "float64": ("dcgan", "precision=float64"),
    "bfloat16": ("mlp", "precision=bfloat16"),
    "sphere": ("mlp", "latent.distribution=sphere"),
}  # fmt: skip
CASES = {name: (name,) for name in RECIPES} | EXTRAS


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without curves and flushing, which cost more than these runs and have tests of their own."""
    monkeypatch.setattr("steadygan.report.outputs.finish", lambda run: None)
    monkeypatch.setattr("os.fsync", lambda handle: None)


@pytest.mark.parametrize("case", CASES)
def test_stopped_anywhere_ends_in_the_same_bits(case: str, lab: Any, tmp_path: Path) -> None:
    recipe, *given = CASES[case]
    whole = tmp_path / "whole"
    lab.start(whole, lab.config(recipe, *given))
    expected, names = lab.outcome(whole), lab.checkpoints(whole)
    assert expected.records.count(b"\n") > 1
    assert all(tensor.isfinite().all() for tensor in expected.tensors.values())
    for keep in {1, len(names) // 2, len(names) - 1} if case in RECIPES else {len(names) // 2}:
        again = lab.cut(whole, tmp_path / f"again-{keep}", keep)
        lab.conduct(again)
        assert lab.diary.begun[-1] == int(names[keep - 1].split("-")[0])
        assert lab.outcome(again).differences(expected) == []


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_stopped_after_every_single_round(case: str, lab: Any, tmp_path: Path) -> None:
    recipe, *given = CASES[case]
    whole = tmp_path / "whole"
    lab.start(whole, lab.config(recipe, *given, "checkpoint_every=8"))
    expected = lab.outcome(whole)
    for keep in range(len(lab.checkpoints(whole))):
        again = lab.cut(whole, tmp_path / f"again-{keep}", keep)
        lab.conduct(again)
        assert lab.outcome(again).differences(expected) == []


def test_the_comparison_can_fail(lab: Any, finished: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    lab.start(other, lab.config("mlp", "seed=1"))
    found = lab.outcome(other).differences(lab.outcome(finished))
    assert "records.jsonl" in found
    assert any(name.startswith("state/averages/") for name in found)
    assert any(name.startswith("state/optimizers/") for name in found)
