"""R1 and R2 through ``torch.func``, as it is and compiled, against the penalties that the package takes.

    python benchmarks/functional_penalty.py             about eight minutes, most of them the compiler's
    python benchmarks/functional_penalty.py --eager     without the compiler

The loss of one discriminator (``r3``, 28x28x1, 64 reals and 64 fakes in one batch) with both penalties, and its
backward pass. Blocks take turns on one thread; a ratio of processor time is taken for each turn, and the middle is
given with the least and the most.
"""

from __future__ import annotations

import os

# Before torch is imported.
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import softplus

from steadygan.config import NetworkConfig
from steadygan.networks.r3 import r3_discriminator
from steadygan.objectives.penalties import r1_and_r2

TURNS, ROUNDS = 9, 5


def processor(call: Callable[[], Tensor]) -> float:
    """Processor seconds of a call and its backward pass, over ``ROUNDS`` of them."""
    start = time.process_time()
    for _ in range(ROUNDS):
        call().backward()
    return (time.process_time() - start) / ROUNDS


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--eager", action="store_true", help="leave the compiler out")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = r3_discriminator(NetworkConfig(name="r3", capacity=24), (1, 28, 28), 0)
    both, weights = torch.randn(128, 1, 28, 28), dict(network.named_parameters())

    def ours() -> Tensor:
        seen: list[Tensor] = []

        def judge(images: Tensor) -> Tensor:
            seen.append(network(images))
            return seen[-1]

        real, fake = r1_and_r2(judge, both)
        return softplus(-seen[0]).mean() + real.mean() + fake.mean()

    def functional(given: dict[str, Tensor]) -> Tensor:
        def judge(images: Tensor) -> tuple[Tensor, Tensor]:
            logits = torch.func.functional_call(network, given, (images,))
            return logits.sum(), logits

        gradient, logits = torch.func.grad(judge, has_aux=True)(both)
        return softplus(-logits).mean() + gradient.square().flatten(1).sum(1).mean()

    ways: dict[str, Callable[[], Tensor]] = {"torch.func": lambda: functional(weights)}
    if not options.eager:
        compiled, start = torch.compile(functional), time.monotonic()
        compiled(weights).backward()
        print(f"compiled within {time.monotonic() - start:.0f} seconds")
        ways["torch.func, compiled"] = lambda: compiled(weights)
    first = ours().item()
    for name, way in ways.items():
        assert abs(way().item() - first) < 1e-5, f"{name} is another loss"
    turns = [(processor(ours), {name: processor(way) for name, way in ways.items()}) for _ in range(TURNS)]
    print(f"the package's: {1e3 * statistics.median(mine for mine, _ in turns):.1f} ms of the processor")
    for name in ways:
        ratios = [others[name] / mine for mine, others in turns]
        print(f"{name}: {statistics.median(ratios):.3f} of it ({min(ratios):.3f} to {max(ratios):.3f})")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
