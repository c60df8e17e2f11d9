"""Averaging of gradients in buckets: sent while the backward pass runs, and what has no gradient."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import torch.distributed as dist
from torch import nn

from steadygan.game import gradients
from steadygan.runtime import processes


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A group of one that takes itself for one of two: sums come back as they are, and means are halves."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    monkeypatch.setattr(processes, "acting", lambda: 2)
    yield
    dist.destroy_process_group()


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2), nn.Tanh(), nn.Linear(2, 1))


@pytest.mark.parametrize("size", [1, 12, 10**6])
def test_every_gradient_is_divided_whatever_the_buckets(
    size: int, group: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gradients, "BUCKET", size)
    one, other, rows = network(), network(), torch.randn(5, 3)
    other.load_state_dict(one.state_dict())
    one(rows).sum().backward()
    with gradients.averaged(list(other.parameters())):
        other(rows).sum().backward()
    for first, second in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(second.grad, first.grad / 2)


def test_last_layers_are_on_their_way_before_the_first_has_a_gradient(
    group: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gradients, "BUCKET", 4)
    player, sent, numbers = network(), list[int](), list[int]()
    monkeypatch.setattr(gradients.Buckets, "_send", _counted(gradients.Buckets._send, sent))
    player[0].weight.register_hook(lambda slope: numbers.append(len(sent)))
    with gradients.averaged(list(player.parameters())):
        player(torch.randn(5, 3)).sum().backward()
    assert numbers == [len(sent) - 1]
    assert len(sent) == 5


def _counted(send: object, sent: list[int]) -> object:
    def counted(buckets: gradients.Buckets) -> None:
        sent.append(1)
        send(buckets)  # type: ignore[operator]

    return counted


def test_what_has_no_gradient_anywhere_keeps_none(group: None) -> None:
    player = network()
    player[4].requires_grad_(False)
    with gradients.averaged(list(player.parameters())):
        player[2](torch.randn(5, 4)).sum().backward()
    assert [parameter.grad is None for parameter in player.parameters()] == [True, True, False, False, True, True]


def test_only_the_last_micro_batch_sends(group: None) -> None:
    player, rows = network(), torch.randn(5, 3)
    with gradients.averaged(list(player.parameters()), last=False):
        player(rows).sum().backward()
    first = [parameter.grad.clone() for parameter in player.parameters()]
    with gradients.averaged(list(player.parameters())):
        player(rows).sum().backward()
    for kept, parameter in zip(first, player.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, kept)


def test_one_process_keeps_its_bits() -> None:
    one, other, rows = network(), network(), torch.randn(5, 3)
    other.load_state_dict(one.state_dict())
    one(rows).sum().backward()
    with gradients.averaged(list(other.parameters())):
        other(rows).sum().backward()
    assert all(torch.equal(a.grad, b.grad) for a, b in zip(one.parameters(), other.parameters(), strict=True))
