"""A run conducted from its folder: start or resume, play, record, sample, save, and stop without losing anything."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from steadygan.config import RunConfig
from steadygan.data.dataset import DataSet
from steadygan.errors import SteadyganError, Stopped
from steadygan.game import checkpoint
from steadygan.game.loop import loop
from steadygan.game.orders import Best, Order, RollBack, Tell
from steadygan.game.round import Record, crosses
from steadygan.health.findings import BROKEN
from steadygan.health.monitor import Monitor
from steadygan.report import outputs
from steadygan.runtime import agreement, devices, processes, shards, storage
from steadygan.runtime.folder import RunFolder
from steadygan.session import keeping, memory
from steadygan.session.environment import describe, differences
from steadygan.session.evaluating import Milestones
from steadygan.session.settings import flat
from steadygan.session.waiting import Waiting
from steadygan.session.watching import Pace, Silent, Watcher
from steadygan.session.wiring import Wired, wire
from steadygan.session.wishes import Wishes

WAIT = 0.2
"""Seconds between looks for a wish while the run is paused."""


class Run:
    """One run folder, its data and the wired game."""

    def __init__(self, folder: RunFolder, config: RunConfig, data: DataSet, watcher: Watcher | None = None) -> None:
        self.folder, self.config, self.data = folder, config, data
        self.watcher: Watcher = watcher if watcher and processes.leads() else Silent()
        self._wire()
        self.keeper = checkpoint.Keeper(folder.checkpoints, config.keep)
        self.wishes = Wishes(folder)
        self._stop = 0
        self._broken = False

    def _wire(self) -> None:
        # initialisation, too, depends on the number of threads
        with devices.computing(self.config.threads, deterministic=self.config.deterministic):
            self.wired: Wired = wire(self.config, self.data)
        self.state = self.wired.state

    def conduct(self) -> None:
        """Play from where the folder stands to the end of the run.

        Raises:
            Stopped: after SIGINT or SIGTERM, when the round is finished and saved.
            SteadyganError: where the run cannot go on; the last good checkpoint stays.
        """
        with (
            self.folder,
            devices.computing(self.config.threads, deterministic=self.config.deterministic),
            _disk(self.folder.path),
            memory.advice(self.config),
        ):
            agreement.same("settings or data", self._identity())
            self._take_up()
            self.watcher.begin(self.config, self.state.images_seen)
            with self._listening(), self._reporting():
                self._play()
            self.watcher.end(self.state.images_seen)

    def _identity(self) -> dict[str, Any]:
        """What all processes must have in common."""
        return {
            **flat(json.loads(self.config.model_dump_json())),
            "data": self.data.fingerprint,
            "torch": str(torch.__version__),
        }

    def _take_up(self) -> None:
        """Load the newest good checkpoint, if any: the first process chooses it, the others read the same one."""
        name = agreement.lead(self._choose)
        if not name or processes.leads():
            return
        try:
            self.state.load_state_dict(checkpoint.read(self.folder.checkpoints / name)["state"])
        except checkpoint.BrokenCheckpoint as error:
            raise SteadyganError(
                f"process {processes.rank()} cannot read the checkpoint {name} that process 0 goes on from ({error})",
                "put the run's folder where all machines see it under the same path",
            ) from None

    def _choose(self) -> str:
        """Load the newest good checkpoint, cut the files of lines back to it, and give its name; empty for none.

        A checkpoint of another run is skipped like a broken one, unless no other is left: then it is this run's config
        or data that has changed.
        """
        checkpoint.sweep(self.folder.checkpoints)
        chosen, positions = "", dict[str, int]()
        changes: list[str] = []
        for path, tree in checkpoint.newest(self.folder.checkpoints):
            try:
                if isinstance(tree, checkpoint.BrokenCheckpoint):
                    raise tree
                found = differences(tree["config"], self.config, tree["data"], self.data.fingerprint)
                changes = changes or found
                if found:
                    raise checkpoint.BrokenCheckpoint(f"it is of other settings or data ({'; '.join(found)})")
                self.state.load_state_dict(tree["state"])
                positions, changes = {name: int(size) for name, size in tree["lines"].items()}, []
                chosen = path.name
                break
            except Exception as error:  # a well-formed checkpoint may still hold anything
                self._wire()
                self.watcher.event(f"skipped the checkpoint {path.name}: {error}")
        if changes:
            raise SteadyganError(
                f"{self.folder.path} cannot go on with other settings or data ({'; '.join(changes)})",
                "put them back, or start a new run with --out",
            )
        self.folder.cut_back(positions)
        describe(self.folder, self.wired.device, self.config, self.state.images_seen)
        self._check_space()
        return chosen

    def _check_space(self) -> None:
        tensors: dict[str, torch.Tensor] = {}
        checkpoint.flatten(self._tree(self.state.state_dict()), "", tensors)
        one = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        # Adam's moments appear with the first step: twice the players' weights
        weights = sum(t.numel() * t.element_size() for name, t in tensors.items() if name.startswith("state/players/"))
        needed = (one + 2 * weights) * (self.config.keep + 1)
        storage.require_space(self.folder.path, needed, "keeping checkpoints of this run")

    def _play(self) -> None:
        state, config = self.state, self.config
        self._marks = [(time.monotonic(), state.images_seen)]
        seen = state.images_seen
        self.wishes.begin((state.attempt, seen))
        measuring = self._measuring()
        if seen == 0:
            self._paint()
            self._carry_out_all(self._monitor.begin() if self._monitor else ())
        waiting = Waiting(self.wired.draw)
        for record in loop(state, self.wired.moves, waiting):
            if record.measured and config.health.mode != "off" and (word := waiting.word()):
                self.watcher.event(word)
            before, seen = seen, record.images_seen
            rolled_back = self._attend(record)
            if rolled_back:
                seen = state.images_seen
                continue
            if crosses(config.sample_every, before, record.images_seen) or state.done:
                self._paint()
            if measuring and (crosses(config.evaluate_every, before, record.images_seen) or state.done):
                for line in measuring.lines(record.images_seen):
                    self.folder.append("metrics.jsonl", line)
            # a signal may reach one process a round before another
            milestone, stop = crosses(config.milestones, before, record.images_seen), agreement.highest(self._stop)
            last = state.done or stop > 0
            if last or milestone or crosses(config.checkpoint_every, before, record.images_seen):
                self._keep(milestone=milestone, last=last)
            if stop and not state.done:
                raise Stopped(stop, state.images_seen, self.wishes.leaving)
        if processes.leads():
            outputs.finish(self.folder.path)
        if state.ended is not None and state.ended.failed:
            raise SteadyganError(
                f"stopped at {state.images_seen:,} images: {state.ended.why}", state.ended.remedy, code=1
            )

    def _measuring(self) -> Milestones | None:
        """What measures the average while the run goes on, where that is asked for."""
        one = self.config
        if not one.evaluate_every:
            return None
        return Milestones(
            one, self.data, one.evaluate_metrics, one.evaluate_features, one.evaluate_count, self.wired.samples
        )

    def _attend(self, record: Record) -> bool:
        """Let the companions read a record, write it, and carry out their orders; True after a rollback.

        Raises:
            SteadyganError: where a loss is not finite and health is not there to see to it.
        """
        if record.measured and self._broken:
            # weights and moments may be lost before any loss shows it
            record.signals[BROKEN], self._broken = 1.0, False
        if record.measured and processes.count() > 1:
            # whoever looks at it must find the same
            record.signals.update(agreement.agree({name: float(value) for name, value in record.signals.items()}))
        companions = self.state.companions.values()
        orders = [order for one in companions for order in one.read(record, self.state.controls)]
        if record.measured:
            self._record(record)
            if self.config.health.mode != "mend":
                self._must_be_finite(record)
        self._carry_out_all(orders)
        back = any(isinstance(order, RollBack) for order in orders)
        if back:
            self._carry_out_all(self.wishes.standing())
        back |= record.measured and self._heed()
        if back:
            self._marks = [(time.monotonic(), self.state.images_seen)]
        return back and not self.state.done

    def _heed(self) -> bool:
        """Fulfil what people wish, and wait as long as they have paused the run; True after a rollback."""
        back = waited = False
        while not self.state.done:
            orders = self.wishes.hear(self.state)
            self._carry_out_all(orders)
            if any(isinstance(order, RollBack) for order in orders):
                back = True
                if self._monitor:
                    self._carry_out_all(self._monitor.gone_back(self.state.images_seen))
                self._carry_out_all(self.wishes.standing())
                continue
            if self.wishes.leaving:
                self._stop = self._stop or signal.SIGTERM
            self._stop = agreement.highest(self._stop)
            if not self.wishes.paused or self._stop:
                break
            waited = True
            time.sleep(WAIT)
        if waited:
            self._marks = [(time.monotonic(), self.state.images_seen)]
        return back

    @property
    def _monitor(self) -> Monitor | None:
        """Health, where it is on."""
        found = self.state.companions.get("health")
        return found if isinstance(found, Monitor) else None

    def _carry_out_all(self, orders: Iterable[Order]) -> None:
        for order in orders:
            self._carry_out(order)

    def _carry_out(self, order: Order) -> None:
        """The session's part of an order, or the game's."""
        match order:
            case Tell(event, line):
                self.folder.append("events.jsonl", event)
                self.watcher.event(f"[{in_short(int(event['images_seen']))} images] {line}")
            case Best(criterion, value):
                averages = shards.ahead(self._averages, self.wired.shared)
                agreement.lead(lambda: self._keep_best(criterion, value, averages()))
            case _:
                self.state.obey(order)

    def _averages(self) -> dict[str, Any]:
        return self._whole({name: one.state_dict() for name, one in self.state.averages.items()})

    def _whole(self, tree: dict[str, Any]) -> dict[str, Any]:
        """What is to be saved, all rows of it in the process that writes."""
        found: dict[str, Any] = shards.whole(tree, keep=processes.leads())
        return found

    def _keep_best(self, criterion: str, value: float, averages: dict[str, Any]) -> None:
        """Put the averages beside the checkpoints, as one that is never pruned and not resumed from."""
        tensors: dict[str, torch.Tensor] = {}
        checkpoint.flatten({"state": {"averages": averages}}, "", tensors)
        plain = {"images_seen": self.state.images_seen, "attempt": self.state.attempt, criterion: value}
        try:
            checkpoint.write(self.folder.best, plain, checkpoint.copied(tensors))
        except OSError as error:
            self.watcher.event(f"the best average could not be written ({storage.reason(error)}); the run goes on")

    def _record(self, record: Record) -> None:
        line = record.line()
        self.folder.append("records.jsonl", line)
        now = time.monotonic()
        self._marks = [*self._marks[-20:], (now, record.images_seen)]
        seconds, images = now - self._marks[0][0], record.images_seen - self._marks[0][1]
        pace = images / seconds if seconds > 0 else 0.0
        left = (self.config.images - record.images_seen) / pace if pace else float("inf")
        word = self._monitor.word() if self._monitor else "not watched"
        self.watcher.record(line, Pace(pace, max(0.0, left)), word)

    def _must_be_finite(self, record: Record) -> None:
        line = record.line()
        broken = [name for name in line if name.endswith("/loss") and not abs(line[name]) < float("inf")]
        if broken:
            raise SteadyganError(
                f"{broken[0]} became {line[broken[0]]} at {self.state.images_seen:,} images",
                "the last good checkpoint is kept; start again with lower learning rates or a stronger penalty",
                code=1,
            )

    def _paint(self) -> None:
        one = self.config
        images = shards.ahead(lambda: self.wired.sample(one.sample_count, one.seed), self.wired.shared)
        agreement.lead(lambda: self._picture(images()))

    def _picture(self, images: torch.Tensor) -> None:
        try:
            path = outputs.write_grid(self.folder.samples, self.state.images_seen, images)
        except (OSError, SteadyganError) as error:
            self.watcher.event(f"a sample grid could not be written ({error}); the run goes on")
        else:
            self.watcher.picture(path, self.state.images_seen)

    def _tree(self, state: dict[str, Any]) -> dict[str, Any]:
        return {
            "state": state,
            "config": json.loads(self.config.model_dump_json()),
            "data": self.data.fingerprint,
            "lines": self.folder.positions(),
        }

    def _keep(self, *, milestone: bool, last: bool) -> None:
        state = shards.ahead(lambda: self._whole(self.state.state_dict()), self.wired.shared)
        agreement.lead(lambda: self._save(state(), milestone=milestone, last=last))

    def _save(self, state: dict[str, Any], *, milestone: bool, last: bool) -> None:
        """Save behind the run's back, or at the last one until it stands; tell of the write before this one."""
        failures = [self.keeper.wait()]
        try:
            self.keeper.save(self._tree(state), self.state.images_seen, self.state.attempt, milestone=milestone)
            failures.append(self.keeper.wait() if last else None)
        except checkpoint.NotFinite as error:
            if last or self.config.health.mode != "mend":
                raise
            self._broken = True
            self.watcher.event(f"no checkpoint here: {error.what}")
        except OSError as error:
            failures.append(error)
        if last and failures[-1] is not None:
            raise SteadyganError(
                f"the last checkpoint could not be written ({storage.reason(failures[-1])}); earlier ones are good",
                f"free some space, then `steadygan resume {self.folder.path}`",
                code=1,
            )
        for why in (storage.reason(failure) for failure in failures if failure is not None):
            self.watcher.event(f"a checkpoint could not be written ({why}); earlier ones are good, the run goes on")

    @contextlib.contextmanager
    def _reporting(self) -> Iterator[None]:
        """Leave a report at the end, also of a run that breaks off: that is the one to read about."""
        try:
            yield
        except processes.Parted:
            raise
        except SteadyganError:
            self._report()
            raise
        self._report()

    def _report(self) -> None:
        samples = self._few() if self.wired.shared else self.wired.samples
        agreement.last(lambda: self._write_report(samples))

    def _few(self) -> keeping.Sample:
        """As many samples as a report looks at, made beforehand since all processes must make them."""
        made = torch.empty(0)
        with contextlib.suppress(RuntimeError):  # the others may be gone; then there is nothing to report about samples
            made = self.wired.sample(keeping.COUNT, 0)
        return lambda count, seed: iter([made[:count]])

    def _write_report(self, samples: keeping.Sample) -> None:
        try:
            keeping.finish(self.folder.path, self.data, samples, self.state.images_seen)
        except Exception as error:  # the run is saved by now, and its report must not be what loses it
            why = error.what if isinstance(error, SteadyganError) else storage.reason(error)
            self.watcher.event(f"the report could not be written ({why}); later: steadygan report {self.folder.path}")

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        """SIGINT and SIGTERM ask for a stop after the round; the second one stops at once."""
        numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()

        def ask(number: int, frame: FrameType | None) -> None:
            if self._stop:
                raise KeyboardInterrupt
            self._stop = number
            self.watcher.event("finishing the round, then saving (once more to stop at once)")

        before = {number: signal.signal(number, ask) for number in numbers}
        try:
            yield
        finally:
            self.keeper.wait()
            for number, handler in before.items():
                signal.signal(number, handler)


def in_short(count: int) -> str:
    """A count as a person says it: 950, 12.3k, 1.2M."""
    if count < 10_000:
        return f"{count:,}"
    return f"{count / 1e3:.3g}k" if count < 1_000_000 else f"{count / 1e6:.3g}M"


@contextlib.contextmanager
def _disk(path: Path) -> Iterator[None]:
    """Turn a disk that refuses into one line that says what to do."""
    try:
        yield
    except OSError as error:
        raise storage.cannot_write(path, error) from None


def open_run(path: Path) -> tuple[RunFolder, RunConfig]:
    """The folder and config of a run. Raises SteadyganError where it is none or its config cannot be read."""
    from steadygan.session.settings import parse_config

    folder = RunFolder(path)
    return folder, parse_config(folder.read_config(), folder.config)
