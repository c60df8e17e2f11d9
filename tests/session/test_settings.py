"""Settings as text and back, and what counts as a difference between two sittings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from steadygan.config import RunConfig
from steadygan.errors import SteadyganError
from steadygan.recipes import RECIPES
from steadygan.session import settings
from steadygan.session.environment import FREE, differences
from steadygan.session.wiring import prepare


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_setting_can_be_set_to_what_it_is(recipe: str, lab: Any) -> None:
    config = lab.config(recipe)
    tree = settings.compact(json.loads(config.model_dump_json()))
    free = {
        key: value
        for key, value in tree.items()
        if key not in settings.SETTLED and value != {} and not key.endswith("image_size")
    }
    assert len(free) > 60
    given = [f"{key}={settings.shown(value)}" for key, value in free.items()]
    # options are checked, and brought to one form, when the data are there
    assert prepare(settings.apply(config, given), lab.data) == config
    assert settings.parse_config(config.model_dump_json(), lab) == config


@pytest.mark.parametrize(
    "key", ["seed", "batch", "images", "data.flip", "players.generator.optimizer.beta1", "threads"]
)
def test_what_matters_is_a_difference(key: str, lab: Any) -> None:
    config: RunConfig = lab.config("dcgan")
    then = json.loads(config.model_dump_json())
    assert differences(then, config, "a", "a") == []
    settings.put(then, key, 77)
    (found,) = differences(then, config, "a", "a")
    assert found.startswith(f"{key} was 77, is ")
    assert differences(then, config, "a" * 64, "b" * 64)[1] == f"the data was {'a' * 12}, is {'b' * 12}"


@pytest.mark.parametrize("key", FREE)
def test_what_does_not_touch_the_trajectory_is_none(key: str, lab: Any) -> None:
    config: RunConfig = lab.config("dcgan")
    then = json.loads(config.model_dump_json())
    settings.put(then, key, "other")
    assert differences(then, config, "a", "a") == []


def test_keys_that_came_or_went_are_differences(lab: Any) -> None:
    config: RunConfig = lab.config("dcgan", "penalties.r1.weight=2")
    then = json.loads(lab.config("dcgan").model_dump_json())
    assert any(text.startswith("penalties.r1.weight") for text in differences(then, config, "a", "a"))


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 99}', '{"players": {}, "lost": 1}', '{"players": 3}', "null"])
def test_a_damaged_config_is_one_line(text: str, tmp_path: Any) -> None:
    with pytest.raises(SteadyganError) as caught:
        settings.parse_config(text, tmp_path / "config.json")
    assert "config.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_normalisation_is_not_the_same_as_none_chosen(lab: Any) -> None:
    for text, value in (("none", "none"), ("null", None)):
        config = lab.config("dcgan", f"discriminator.network.normalisation={text}")
        assert config.players["discriminator"].network.normalisation == value
