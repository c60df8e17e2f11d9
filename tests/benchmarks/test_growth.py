"""Growth: exponents are those of known curves, and the estimate for many GPUs follows its own formula."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def scripts() -> Iterator[dict[str, ModuleType]]:
    before = dict(sys.modules)
    sys.path.insert(0, str(FOLDER))
    yield {name: importlib.import_module(name) for name in ("growth", "estimate")}
    sys.path.remove(str(FOLDER))
    for name in ("growth", "estimate"):
        sys.modules.pop(name)
    sys.modules.update(before)


@given(st.floats(-2, 3), st.floats(0.01, 100))
def test_the_exponent_of_a_power_is_found(scripts: dict[str, ModuleType], power: float, factor: float) -> None:
    places = [10.0, 20.0, 50.0, 400.0]
    found = scripts["growth"].exponent(places, [factor * place**power for place in places])
    assert found == pytest.approx(power, abs=1e-9)


def test_counts_of_a_round_grow_with_its_images(scripts: dict[str, ModuleType]) -> None:
    growth = scripts["growth"]
    data = growth.random_data((1, 16, 16), 32)
    small, large = (growth.counts(growth.planned(data, batch, 4), data) for batch in (4, 8))
    assert large["operations"] == pytest.approx(2 * small["operations"], rel=0.05)
    assert large["calls"] == small["calls"] > 100
    assert large["parameters"] == small["parameters"]
    assert small["messages"] == 2  # one a player


def test_tables_and_figures_come_from_what_is_known(scripts: dict[str, ModuleType]) -> None:
    growth = scripts["growth"]
    known = {"batch": {str(b): {"cost": 1e-3 / b, "peak_mb": 2.0 * b} for b in (16, 32, 64)}}
    assert "| a round, µs an image | 62.5 | 31.2 | 15.6 | -1.00 | -1.00 |" in growth.tables(known)
    assert "| peak memory, MB | 32 | 64 | 128 | 1.00 | 1.00 |" in growth.tables(known)
    assert growth.figure(known, "batch").startswith(b"\x89PNG")
    assert growth.tables({"batch": {"16": known["batch"]["16"]}}) == ""


@pytest.fixture
def work(scripts: dict[str, ModuleType]) -> object:
    return scripts["estimate"].Work(operations=1e11, calls=2000, gradient_bytes=4e8, messages=20)


def test_one_gpu_has_nobody_to_write_to(scripts: dict[str, ModuleType], work: object) -> None:
    estimate, machine = scripts["estimate"], scripts["estimate"].Machine()
    assert estimate.exchange(work, 1, machine) == 0
    assert estimate.round_seconds(work, 64, 1, machine) == estimate.compute(work, 64, machine)


def test_within_a_machine_the_net_plays_no_part(scripts: dict[str, ModuleType], work: object) -> None:
    estimate = scripts["estimate"]
    plain = estimate.exchange(work, 8, estimate.Machine())
    assert plain == estimate.exchange(work, 8, estimate.Machine(between=1.0, delay_between=1.0))
    assert plain == pytest.approx(2 * 7 / 8 * 4e8 / 300e9 + 20 * 14 * 5e-6)


def test_more_gpus_never_cost_less_and_bytes_grow_to_a_bound(scripts: dict[str, ModuleType], work: object) -> None:
    estimate, machine = scripts["estimate"], scripts["estimate"].Machine(delay_inside=0.0, delay_between=0.0)
    sent = [estimate.exchange(work, gpus, machine) for gpus in (1, 2, 8, 16, 64, 512, 4096)]
    assert sent == sorted(sent)
    assert sent[-1] < 2 * 4e8 / 300e9 + 2 * 4e8 / 8 / 40e9


def test_kernels_bound_a_round_of_few_images(scripts: dict[str, ModuleType], work: object) -> None:
    estimate, machine = scripts["estimate"], scripts["estimate"].Machine()
    assert estimate.compute(work, 1, machine) == pytest.approx(2000 * 8e-6)
    assert estimate.compute(work, 1000, machine) == pytest.approx(1000 * 1e11 / (989e12 * 0.3))
