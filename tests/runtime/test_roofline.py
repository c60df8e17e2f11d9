"""Counting and measuring: operations by hand, and a profile that knows its parts."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from steadygan.runtime import roofline
from steadygan.runtime.roofline import ALL_PARTS, RANGE, Clock


def test_operations_and_bytes_of_a_product_by_hand() -> None:
    left, right = torch.randn(3, 5), torch.randn(5, 7)
    work = roofline.count(lambda: left @ right)
    assert work.operations == {"mm": 2 * 3 * 5 * 7}
    assert work.bytes == 4 * (15 + 35 + 21)


def test_operations_of_a_convolution_its_gradient_and_the_gradient_of_that() -> None:
    """Backward costs twice the forward pass; a penalty on the input's gradient goes through all of it again."""
    layer = nn.Conv2d(3, 4, 3, padding=1, bias=False)
    images = torch.randn(2, 3, 8, 8, requires_grad=True)
    once = 2 * 2 * 4 * 64 * 3 * 9

    def forward() -> torch.Tensor:
        out: torch.Tensor = layer(images)
        return out.square().sum()

    def penalty() -> None:
        slope = torch.autograd.grad(forward(), images, create_graph=True)[0]
        slope.square().sum().backward()  # type: ignore[no-untyped-call]

    assert roofline.count(forward).total == once
    assert roofline.count(lambda: forward().backward()).total == 3 * once  # type: ignore[no-untyped-call]
    assert roofline.count(penalty).total > 5 * once


def test_views_and_elementwise_layers_count_as_they_should() -> None:
    values = torch.randn(4, 6)
    assert roofline.count(lambda: values.view(6, 4).t()).bytes == 0
    doubled = roofline.count(lambda: values * values)
    assert (doubled.total, doubled.bytes) == (0, 3 * 96)


def test_a_ceiling_can_be_measured_again() -> None:
    job = torch.zeros(1 << 16)
    found = roofline._best([("small", 1.0, lambda: job[:64].sum()), ("large", 9.0, job.sum)], Clock(job.device))
    assert found.shape in ("small", "large")
    assert found.again(Clock(job.device), 3) > 0


def test_convolutions_and_products_are_tried_at_every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline, "CONVOLUTIONS", ((2, 4, 8, 3, 1), (4, 8, 4, 4, 2)))
    monkeypatch.setattr(roofline, "MATRICES", {"cpu": (8, 16)})
    monkeypatch.setattr(roofline, "COPIED", 1 << 12)
    place = torch.device("cpu")
    convolution = roofline.convolution_ceiling(place, torch.float32)
    assert convolution.work in (2.0 * 64 * 4 * 64 * 2 * 9, 2.0 * 64 * 8 * 4 * 4 * 16)
    assert roofline.matrix_ceiling(place, torch.float32).work in (2.0 * 8**3, 2.0 * 16**3)
    assert roofline.copy_ceiling(place).work == 2.0 * (1 << 12)


def test_one_thread_is_timed_by_the_processor_and_several_by_the_wall() -> None:
    before = torch.get_num_threads()
    try:
        names = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            names.append(Clock(torch.device("cpu")).name)
    finally:
        torch.set_num_threads(before)
    assert names == ["processor", "wall"]


class Event(NamedTuple):
    name: str
    cpu_parent: Any = None


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("aten::mkldnn_convolution", "convolution"),
        ("aten::convolution_backward", "convolution"),
        ("aten::addmm", "matrix"),
        ("aten::native_batch_norm_backward", "normalisation"),
        ("aten::_fused_adam_", "optimizer"),
        ("aten::leaky_relu_backward", "elementwise"),
    ],
)
def test_an_operation_belongs_to_the_part_that_its_name_says(name: str, part: str) -> None:
    assert roofline.part_of(Event(name)) == part
    inside = Event(name, Event("aten::something", Event(f"{RANGE}data")))
    assert roofline.part_of(inside) == "data"


def test_shares_add_up_and_find_what_is_done() -> None:
    left = torch.randn(256, 256)

    def job() -> None:
        with torch.profiler.record_function(f"{RANGE}data"):
            left.exp()
        for _ in range(10):
            left @ left

    found = roofline.shares(job, torch.device("cpu"))
    assert set(found) == set(ALL_PARTS)
    assert sum(found.values()) == pytest.approx(1.0)
    assert min(found["matrix"], found["data"]) > 0 == found["convolution"]
