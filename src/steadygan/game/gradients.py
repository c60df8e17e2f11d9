"""Gradients of several processes, averaged while the backward pass still runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from steadygan.runtime import processes, shards

BUCKET = 4 * 2**20
"""Values that travel together: large enough to be worth a message, small enough to leave before the last is known."""


@contextlib.contextmanager
def averaged(parameters: Sequence[nn.Parameter], *, last: bool = True) -> Iterator[None]:
    """A backward pass after which every process has the mean of all their gradients; nothing to do on a single one.

    As soon as all gradients of a bucket stand, they are sent, while earlier layers are still at work. Of micro-batches
    only the ``last`` pass sends, what the others left being in the same gradients. A parameter without a gradient in
    one process counts as 0 there, and has none where no process has one. Of parameters in shards PyTorch itself
    averages the gradients, after every micro-batch.
    """
    if processes.acting() == 1 or not last:
        yield
        return
    parameters = [parameter for parameter in parameters if not shards.spread(parameter)]
    buckets = Buckets(parameters)
    hooks = [
        parameter.register_post_accumulate_grad_hook(buckets.ready)  # type: ignore[no-untyped-call]
        for parameter in parameters
        if parameter.requires_grad
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
    buckets.finish()


class Buckets:
    """Parameters in the order in which a backward pass comes by, cut into pieces that are sent one after the other."""

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self.buckets: list[list[nn.Parameter]] = []
        size = BUCKET
        for parameter in reversed([one for one in parameters if one.requires_grad]):
            if size + parameter.numel() > BUCKET or self.buckets[-1][0].dtype != parameter.dtype:
                self.buckets.append([])
                size = 0
            self.buckets[-1].append(parameter)
            size += parameter.numel()
        self.place = {one: number for number, bucket in enumerate(self.buckets) for one in bucket}
        self.missing = [len(bucket) for bucket in self.buckets]
        self.sent: list[tuple[Tensor, Any]] = []

    def ready(self, parameter: nn.Parameter) -> None:
        """Take note of a gradient, and send what is complete: in order, since all processes must send alike."""
        self.missing[self.place[parameter]] -= 1
        while len(self.sent) < len(self.buckets) and not self.missing[len(self.sent)]:
            self._send()

    def _send(self) -> None:
        import torch.distributed as dist

        bucket = self.buckets[len(self.sent)]
        known = torch.tensor([float(one.grad is not None) for one in bucket]).to(bucket[0])
        flat = torch.cat([*(_flat(one) for one in bucket), known])
        with processes.asked():
            self.sent.append((flat, dist.all_reduce(flat, group=processes.lane(), async_op=True)))

    @torch.no_grad()
    def finish(self) -> None:
        """Send the rest, wait for all, and put the means where the gradients were."""
        while len(self.sent) < len(self.buckets):
            self._send()
        for bucket, (flat, work) in zip(self.buckets, self.sent, strict=True):
            with processes.asked():
                work.wait()
            # only where a gradient is missing here, since reading makes a GPU wait
            complete = all(one.grad is not None for one in bucket)
            there = [1.0] * len(bucket) if complete else flat[-len(bucket) :].tolist()
            flat.div_(processes.acting())
            start = 0
            for one, somewhere in zip(bucket, there, strict=True):
                mean = flat[start : start + one.numel()].view(one.shape)
                start += one.numel()
                if somewhere:
                    one.grad = torch.empty_like(one).copy_(mean) if one.grad is None else one.grad.copy_(mean)


def _flat(parameter: nn.Parameter) -> Tensor:
    if parameter.grad is None:
        return torch.zeros(parameter.numel(), dtype=parameter.dtype, device=parameter.device)
    return parameter.grad.detach().reshape(-1)
