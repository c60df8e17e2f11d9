"""Every illness changes what it says it changes, more at a higher severity, and nothing else."""

from __future__ import annotations

import pytest

from steadygan.errors import SteadyganError
from steadygan.health.illnesses import ILLNESSES, parse

DIAGNOSES = {
    "blow-up", "strong-discriminator", "weak-discriminator", "overfitting", "collapse", "mode-dropping", "oscillation",
    "drift", "stall", "saturation", "artefacts", "copying", "bad-data", "finished",
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("momentum", 2.0),
        ("momentum:2.5", 2.5),
        ("momentum:mild", 1.0),
        (" momentum : severe ", 3.0),
        ("momentum:.5", 0.5),
    ],
)
def test_name_and_severity_are_read(text: str, severity: float) -> None:
    illness, found = parse(text)
    assert illness is ILLNESSES["momentum"]
    assert found == severity


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(SteadyganError, match="did you mean 'no-penalty'"):
        parse("no-penalti:2")


@pytest.mark.parametrize("severity", ["", "4", "0.4", "nan", "inf", "awful", "-1"])
def test_a_severity_that_is_none_says_which_are(severity: str) -> None:
    with pytest.raises(SteadyganError, match=r"no severity of an illness: choose mild, medium, severe or a number"):
        parse(f"momentum:{severity}")


@pytest.mark.parametrize("name", ILLNESSES)
def test_the_table_is_whole(name: str) -> None:
    illness = ILLNESSES[name]
    assert set(illness.expected) <= DIAGNOSES and illness.expected
    assert any((illness.config, illness.data, illness.draw, illness.moves))
    assert illness.meaning and "\n" not in illness.meaning
    first, second, third = illness.parameters
    assert first < second < third or first > second > third
    assert [illness.parameter(at) for at in (1, 2, 3)] == pytest.approx(illness.parameters)
    assert min(second, third) < illness.parameter(2.5) < max(second, third)
