"""What a check-up is shown of a run whose players take labels."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from steadygan.data.dataset import DataSet
from steadygan.game.move import Batch
from steadygan.health.checkup import Patient
from steadygan.health.guarding import Guard
from steadygan.session.caring import Examination
from steadygan.session.families import family, options
from steadygan.session.wiring import wire


def examined(lab: Any, data: DataSet) -> tuple[Patient, Any]:
    conditional = ("generator.network.conditional=true", "discriminator.network.conditional=true")
    config = lab.config("dcgan", *conditional, "health.count=100", "health.mode=off")
    wired = wire(config, data)
    found = family(config)
    guard = Guard(data, lambda rows: Batch(torch.zeros(0)), flip=False)
    examination = Examination(config, guard, wired.state, found, found.latent(config, options(found, config)))
    return examination._patient(), wired


@pytest.fixture
def rare(lab: Any) -> DataSet:
    """The lab's data with a class of which there is one image only."""
    data: DataSet = lab.data
    assert data.labels is not None
    labels = data.labels.copy()
    labels[labels == 3] = 4
    labels[data.train[0]] = 3
    return dataclasses.replace(data, labels=labels)


def test_every_image_is_judged_by_its_own_class(lab: Any, rare: DataSet) -> None:
    patient, wired = examined(lab, rare)
    assert patient.real_label is not None and patient.fake_label is not None and patient.judge is not None
    assert rare.labels is not None
    assert len(patient.real) == min(100, len(rare.train) // 2), "a rare class does not make the sample small"
    whole = ((patient.real + 1) * 127.5).round().to(torch.uint8).numpy()
    for image, label in zip(whole, patient.real_label.tolist(), strict=True):
        rows = np.flatnonzero((np.asarray(rare.images) == image).all((1, 2, 3)))
        assert label in rare.labels[rows]
    assert len(patient.fake_label) == 100 and int(patient.fake_label.max()) < rare.classes
    judge = wired.state.players["discriminator"].eval()
    with torch.no_grad():
        expected = judge(patient.real[70:90], patient.real_label[70:90])
    assert torch.allclose(patient.judge(patient.real[70:90], patient.real_label[70:90]), expected, atol=1e-5)


def test_fakes_are_of_the_classes_that_are_told_for_them(lab: Any, rare: DataSet) -> None:
    patient, wired = examined(lab, rare)
    assert patient.fake_label is not None
    made = patient.make("raw", 100)
    other = wired.state.players["generator"]
    with torch.no_grad():
        other.embedding.weight.add_(1.0)
    assert not torch.equal(patient.make("raw", 100), made), "labels reach the generator"
