"""How the players of ``peers.py`` are led: each is a process of its own, and plays when it is told to.

A player's loop calls its gate where a round begins (a peer's own loop does so by taking an image from its data set).
There it waits for the next order: so many rounds, so many seconds, or to have its samples judged. Only what lies
between an order's start and the gate at its end is timed; the other player waits meanwhile, and takes no processor.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

JUDGED = 2_000


class Over(Exception):
    """The conductor has heard enough."""


class Played(NamedTuple):
    """What a player has done since it was started: seconds by the wall and of the processor, rounds and images."""

    wall: float
    cpu: float
    rounds: int
    images: int


class Setup(NamedTuple):
    """Which player, for what, with what."""

    player: str
    peer: str
    """Whose networks: the engine plays those of any peer."""
    purpose: str
    """``speed``: random rows, equal networks; ``quality``: MNIST, everybody's own default."""
    peers: str
    """Folder of the peers' repositories."""
    place: str
    """Folder for what the player writes."""
    threads: int
    seed: int
    minutes: float


def memory(name: str) -> float:
    """Peak (``VmHWM``) or present (``VmRSS``) memory of this process, MiB; NaN where the system does not tell."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith(f"{name}:"):
                return round(int(line.split()[1]) / 1024, 1)
    return float("nan")


class Gate:
    """A player's end of the line.

    Args:
        pipe: to the conductor.
        items_a_round: images that a peer's loop takes from its data set in a round.
    """

    def __init__(self, pipe: Any, items_a_round: int) -> None:
        self.pipe, self.items_a_round = pipe, items_a_round
        self.players: Callable[[], dict[str, nn.Module]] = dict
        self.samples: Callable[[int], Iterable[Tensor]] = lambda count: ()
        self.wall = self.cpu = 0.0
        self.rounds = self.images = self._items = 0
        self._until: tuple[str, float] | None = None
        self._since = (0.0, 0.0)

    def item(self) -> None:
        """A peer's loop takes an image."""
        if self._items % self.items_a_round == 0:
            self.next_round(self._items)
        self._items += 1

    def next_round(self, images: int) -> None:
        """A round begins, after so many images; wait here where an order is done."""
        self.images = images
        if self._until is None:
            self._listen()
            return
        self.rounds += 1
        kind, limit = self._until
        wall = self.wall + time.perf_counter() - self._since[0]
        if (self.rounds if kind == "rounds" else wall) >= limit:
            self._stop()
            self._tell()
            self._listen()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """What is done in here is not timed."""
        running = self._until is not None
        if running:
            self._stop()
        yield
        if running:
            self._start()

    def _start(self) -> None:
        self._since = time.perf_counter(), time.process_time()

    def _stop(self) -> None:
        self.wall += time.perf_counter() - self._since[0]
        self.cpu += time.process_time() - self._since[1]

    def _listen(self) -> None:
        """Answer questions, until there is an order to play on."""
        order, value = self._answer_questions()
        self._until = (order, value + (self.rounds if order == "rounds" else self.wall))
        self._start()

    def _answer_questions(self) -> tuple[str, float]:
        while True:
            order, value = self.pipe.recv()
            if order == "over":
                raise Over
            if order == "describe":
                counts = {name: sum(p.numel() for p in one.parameters()) for name, one in self.players().items()}
                self.pipe.send({"parameters": counts, "memory": memory("VmRSS"), "peak": memory("VmHWM")})
            elif order == "judge":
                self.pipe.send(self._judged(int(value)))
            else:
                return order, value

    def finished(self) -> None:
        """The player's own loop is over: it stays as it is, whatever it is told to play."""
        if self._until is not None:
            self._stop()
            self._until = None
            self._tell()
        while True:
            self._answer_questions()
            self._tell()

    def _tell(self) -> None:
        self.pipe.send(Played(self.wall, self.cpu, self.rounds, self.images))

    def _judged(self, count: int) -> dict[str, Any]:
        import judge

        self._statistics = getattr(self, "_statistics", None) or test_statistics()
        made = torch.cat(list(self.samples(count)))[:count]
        return judge.figures(judge.load_judge(), torch.split(made, 500), self._statistics)


def test_statistics() -> tuple[Any, Any]:
    """Mean and covariance of the judge's features on MNIST's 10,000 test images."""
    import judge

    from steadygan.evaluation.frechet import gaussian_statistics

    features, _ = judge.look(judge.load_judge(), judge.real_chunks("test"))
    return gaussian_statistics(features)


class Lead:
    """The conductor's end: a player's process, and orders to it."""

    def __init__(self, play: Callable[[Any, Setup], None], setup: Setup) -> None:
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ[name] = str(setup.threads)
        context = multiprocessing.get_context("spawn")
        self.name = setup.player
        self.pipe: Connection
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(play, theirs, setup), daemon=True)
        self.process.start()
        theirs.close()

    def ask(self, order: str, value: float = 0, limit: float = 3600) -> Any:
        """Give an order and wait for the answer. Raises RuntimeError where the player is gone or takes too long."""
        try:
            self.pipe.send((order, value))
            if not self.pipe.poll(limit):
                raise RuntimeError(f"{self.name} did not answer {order!r} within {limit:g} s")
            return self.pipe.recv()
        except (EOFError, OSError) as error:
            raise RuntimeError(f"{self.name} has ended; what it said stands above") from error

    def play(self, order: str, value: float) -> Played:
        """Let it play ``rounds`` or ``seconds``, and hear what it has done altogether."""
        return Played(*self.ask(order, value))

    def close(self) -> None:
        """End the player."""
        with contextlib.suppress(OSError):
            self.pipe.send(("over", 0))
        self.process.join(20)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.pipe.close()


@contextlib.contextmanager
def led(play: Callable[[Any, Setup], None], *setups: Setup) -> Iterator[list[Lead]]:
    """Players for the length of a measurement."""
    leads: list[Lead] = []
    try:
        leads.extend(Lead(play, setup) for setup in setups)
        yield leads
    finally:
        for lead in leads:
            lead.close()


def serve(play: Callable[[Any, Setup], None], pipe: Any, setup: Setup) -> None:
    """What a player's process runs; the words that it prints go nowhere, its errors to the terminal."""
    os.makedirs(setup.place, exist_ok=True)
    os.chdir(setup.place)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.argv = [setup.player]
    torch.set_num_threads(setup.threads)
    torch.manual_seed(setup.seed)
    with contextlib.suppress(Over), contextlib.closing(pipe):
        play(pipe, setup)
