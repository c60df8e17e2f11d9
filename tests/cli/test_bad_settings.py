"""Recipes, keys, names and values that cannot be: named, with the nearest valid one, before anything is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

SETTINGS = {
    # keys
    "generator.network.capcity=3": "unknown setting 'generator.network.capcity': did you mean"
    " 'generator.network.capacity'?",
    "players.generator.network.capcity=3": "unknown setting 'players.generator.network.capcity': did you mean"
    " 'players.generator.network.capacity'?",
    "generater.network.capacity=3": "did you mean 'generator.network.capacity'?",
    "learning_rate=1e-3": "did you mean 'generator.optimizer.learning_rate'?",
    "lerning_rate=1e-3": "did you mean 'generator.optimizer.learning_rate'?",
    "bach=3": "did you mean 'batch'?",
    "data.fitt=crop": "did you mean 'data.fit'?",
    "penalties.r1.weigt=1": "did you mean 'weight'?",
    "generator.optimizer.learning_rate.ennd=1": "did you mean 'end'?",
    "xyzzy.plugh=1": "unknown setting 'xyzzy.plugh': see `steadygan recipes NAME`",
    "batch": "--set 'batch' is not key=value: write e.g. --set batch=64",
    "=3": "--set '=3' is not key=value",
    "shape=[1,8,8]": "'shape' cannot be set: set data.image_size or data.channels",
    "players=3": "'players' cannot be set",
    "recipe=mlp": "'recipe' cannot be set: name it with --recipe",
    "format=2": "'format' cannot be set",
    # names
    "loss=hing": "unknown loss 'hing': did you mean 'hinge'?",
    "generator.network.name=dcgn": "unknown generator 'dcgn': did you mean 'dcgan'?",
    "discriminator.network.name=r4": "unknown discriminator 'r4': did you mean 'r3'?",
    "generator.optimizer.name=adamm": "unknown optimizer 'adamm': did you mean 'adam'?",
    "generator.network.activation=relux": "unknown activation 'relux': did you mean 'relu'?",
    "generator.network.normalisation=bach": "unknown normalisation 'bach': did you mean 'batch'?",
    "generator.network.initialisation=hee": "unknown initialisation 'hee': did you mean 'he'?",
    "penalties.r11.weight=1": "unknown penalty 'r11': did you mean 'r1'?",
    "generator.weight_penalties.l3=1": "unknown weight penalty 'l3': did you mean 'l2'?",
    'augmentation.policy=["translat"]': "unknown augmentation 'translat': did you mean 'translate'?",
    "game=adversary": "unknown game 'adversary': did you mean 'adversarial'?",
    "data.fit=crp": "unknown data.fit 'crp': did you mean 'crop'?",
    "latent.distribution=norml": "unknown latent.distribution 'norml': did you mean 'normal'?",
    "precision=float16": "unknown precision 'float16': did you mean 'bfloat16'?",
    "device=gpu": "unknown device 'gpu': choose auto, cpu, cuda or cuda:0",
    "loss=nowhere:loss": "cannot load loss 'nowhere:loss' (No module named 'nowhere')",
    "loss=os:getcwd": "'os:getcwd' is not an AdversarialLoss",
    "generator.network.name=os:nothing": "generator 'os:nothing' cannot be imported",
    # values
    "batch=0": "batch is 0: it must be at least 1",
    "batch=many": "batch is many: it must be a whole number",
    "batch=1.5": "batch is 1.5: it must be a whole number",
    "batch=": 'batch is "": it must be a whole number',
    "batch=100000": "batch is 100000: it must be at most 65536",
    "accumulate=3": "batch 64 is not a multiple of accumulate 3",
    "packing=3": "micro-batch 64 is not a multiple of packing 3",
    "images=0": "images is 0: it must be at least 1",
    "seed=-1": "seed is -1: it must be at least 0",
    "threads=-1": "threads is -1: it must be at least 0",
    "keep=0": "keep is 0: it must be at least 1",
    "sample_count=0": "sample_count is 0: it must be at least 1",
    "tensorboard=perhaps": "tensorboard is perhaps: it must be true or false",
    "generator.network.capacity=0": "players.generator.network.capacity is 0: it must be at least 1",
    "generator.network.capacity=9999": "players.generator.network.capacity is 9999: it must be at most 1024",
    "generator.network.dropout=1": "players.generator.network.dropout is 1: it must be below 1",
    "generator.network.depth=1000": "it must be at most 64",
    "generator.network=3": "players.generator.network is 3: it must be a group of settings",
    "generator.optimizer.learning_rate=-1": "generator.optimizer.learning_rate is -1: choose a value from 0 to 10",
    "generator.optimizer.learning_rate=1e9": "generator.optimizer.learning_rate is 1e+09: choose a value from 0 to 10",
    "generator.optimizer.learning_rate=1e400": "it must be finite",
    "generator.optimizer.learning_rate=fast": "it must be a number, or a schedule as",
    "penalties.r1=10": "put .weight behind the name",
    "penalties.r1.weight=-1": "penalty.r1 is -1",
    "augmentation.strength=2": "augmentation is 2: choose a value from 0 to 1",
    "augmentation.policy=translate": "augmentation.policy is translate: it must be a list",
    "instance_noise=-1": "instance_noise is -1",
    "top_k=0": "top_k is 0: choose a value from 0.01 to 1",
    "average.half_life=-1": "average.half_life is -1",
    "latent.size=0": "latent.size is 0: it must be at least 1",
    "label_smoothing=0.9": "label_smoothing is 0.9: it must be below 0.5",
    "data.image_size=1": "image size 1x1 is outside the networks' range: choose a height and width from 8 to 256",
    "data.image_size=4096": "image size 4096x4096 is outside the networks' range",
    "data.image_size=big": "a size is written as 92x112",
    "data.channels=0": "data.channels is 0: it must be at least 1",
    "data.channels=2": "the set 'digits' has 1 channels and data.channels asks for 2",
    "data.held_out=1": "data.held_out is 1: it must be below 1",
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_that_cannot_be(call: Any, setting: str) -> None:
    fault = call("train", "digits", "--recipe", "r3", "--images", "64", "--out", "run", "--set", setting).fault()
    assert SETTINGS[setting] in fault
    assert not any(Path().iterdir())


FLAGS = {
    ("--recipe", "dcgn"): "unknown recipe 'dcgn': did you mean 'dcgan'?",
    ("--images", "0"): "images is 0: it must be at least 1",
    ("--images", "-3"): "images is -3: it must be at least 1",
    ("--minutes", "0"): "0 minutes are not a usable time: give a number above 0",
    ("--minutes", "-1"): "-1 minutes are not a usable time",
    ("--minutes", "nan"): "nan minutes are not a usable time",
    ("--minutes", "1e9"): "1e+09 minutes are not a usable time",
    ("--minutes", "1", "--set", "images=100"): "minutes and images were both given: give one of them",
    ("--seed", "-1"): "seed is -1: it must be at least 0",
    ("--seed", "99999999999999999999"): "it must be below 9223372036854775808",
    ("--threads", "-1"): "threads is -1: it must be at least 0",
    ("--image-size", "1"): "image size 1x1 is outside the networks' range",
    ("--image-size", "4096"): "image size 4096x4096 is outside the networks' range",
    ("--image-size", "9999999999999"): "is outside the networks' range",
    ("--image-size", "big"): "--image-size 'big' is not a size: write 64, or width x height as 92x112",
    ("--image-size", "8x8x8"): "--image-size '8x8x8' is not a size",
    ("--image-size", "-8"): "--image-size '-8' is not a size",
}


@pytest.mark.parametrize("flags", FLAGS, ids=" ".join)
def test_a_flag_that_cannot_be(call: Any, flags: tuple[str, ...]) -> None:
    assert FLAGS[flags] in call("train", "digits", "--out", "run", *flags).fault()
    assert not any(Path().iterdir())


def test_a_slip_is_found_before_the_data_are_decoded(call: Any, images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*_: object) -> None:
        raise AssertionError("decoded before the settings were checked")

    monkeypatch.setattr("steadygan.api.open_data", decode)
    for setting in ("bach=3", "loss=hing", "batch=0", "generator.optimizer.learning_rate=-1", "device=gpu"):
        call("train", images, "--set", setting).fault()


def test_set_wins_over_flags_and_sizes_are_width_first(call: Any, small: tuple[str, ...]) -> None:
    import json

    call(
        "train", "digits", *small, "--seed", "3", "--set", "seed=4", "--set", "data.image_size=9x10", "--out", "a"
    ).fine()
    config = json.loads(Path("a/config.json").read_text())
    assert (config["seed"], config["shape"]) == (4, [1, 10, 9])


def test_cuda_asked_for_and_absent(call: Any, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for words in (("train", "digits", "--set", "device=cuda"), ("sample", run, "--device", "cuda")):
        fault = call(*words).fault()
        assert fault.startswith("device 'cuda' asked for, but torch sees no CUDA GPU here: use device=cpu")


def test_labels_asked_for_where_there_are_none(call: Any, small: tuple[str, ...]) -> None:
    np.save("x.npy", np.zeros((40, 8, 8), np.uint8))
    fault = call("train", "x.npy", *small, "--set", "generator.network.conditional=true", "--out", "run").fault()
    assert "x.npy has no labels" in fault
    assert not Path("run").exists()


def test_the_tensorboard_package_missing(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    there = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *rest: None if name == "tensorboard" else there(name, *rest)
    )
    fault = call("train", "digits", "--set", "tensorboard=true").fault()
    assert fault == "tensorboard=true needs a package that is not there: install steadygan[tensorboard]"
    assert not any(Path().iterdir())
