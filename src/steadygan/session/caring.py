"""Health wired: what a check-up may look at of a run, and the monitor that asks for it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from steadygan.config import RunConfig
from steadygan.game.state import GameState
from steadygan.games.family import Family
from steadygan.games.latents import Latent
from steadygan.health.checkup import Patient
from steadygan.health.guarding import Guard
from steadygan.health.monitor import Examine, Monitor
from steadygan.health.signal_baseline import Baseline
from steadygan.health.signals import examine
from steadygan.objectives.auxiliary import pack
from steadygan.runtime import agreement, seeding
from steadygan.session import sharding

REFERENCE = 2000
"""Further training images that clusters, neighbours and floors are taken from."""
PIXELS = 64 * 2**20
"""Values that the reference images may have altogether."""
CHUNK = 64


class Examination:
    """A check-up of a run on call: the same latents and the same rows every time, so that only the game changes.

    The rows are those of the set as the controls want it read.
    """

    def __init__(self, config: RunConfig, guard: Guard, state: GameState, family: Family, latent: Latent) -> None:
        self.config, self.guard, self.state, self.data = config, guard, state, guard.data
        self.family, self.latent = family, latent
        self._known: tuple[Patient, Baseline] | None = None

    def __call__(self, memory: Mapping[str, Tensor]) -> tuple[dict[str, float], dict[str, Tensor]]:
        """This check-up's signals, and what it leaves for the next one."""
        wanted = self.guard.chosen(self.state.controls)
        if self._known is None or self.data is not wanted:
            self.data = wanted
            patient = self._patient()
            self._known = patient, Baseline.of(patient.real, patient.held_out, patient.reference)
        patient, baseline = self._known
        signals, left = examine(patient, baseline, memory, self.config.health.count)
        return baseline.facts | signals, left

    def _patient(self) -> Patient:
        rows = seeding.numpy_generator("check-up rows").permutation(self.data.train)
        held = seeding.numpy_generator("check-up held out").permutation(self.data.held_out)
        # never the same rows twice: neighbours and duplicates are sought between the two
        count = min(self.config.health.count, len(rows) // 2)
        real, unseen = rows[:count], held[: self.config.health.count]
        return Patient(
            players=self.state.players,
            make=self._make,
            judge=self._judge if self.family.judge is not None else None,
            real=self._images(real),
            held_out=self._images(unseen),
            reference=self._images(rows[count : count + self._room()]),
            real_label=self._labels(real),
            held_out_label=self._labels(unseen),
            fake_label=self._fake_labels(self.config.health.count),
        )

    def _room(self) -> int:
        """How many reference images are kept: fewer where they are large."""
        channels, height, width = self.data.shape
        return max(256, min(REFERENCE, PIXELS // (channels * height * width)))

    def _labels(self, rows: np.ndarray) -> Tensor | None:
        """Classes of rows, where any player takes labels."""
        if self.data.labels is None or not any(map(self._conditional, self.config.players)):
            return None
        return torch.from_numpy(self.data.labels[rows]).to(self.state.device)

    def _fake_labels(self, count: int) -> Tensor | None:
        """Classes for the generator: those of training images, so that they are as frequent as there."""
        if self.data.labels is None or not len(self.data.train):
            return None
        rows = seeding.numpy_generator("check-up labels").choice(self.data.train, count)
        return self._labels(rows)

    def _conditional(self, player: str) -> bool:
        return self.config.players[player].network.conditional

    def _images(self, rows: np.ndarray) -> Tensor:
        if not len(rows):
            return torch.zeros((0, *self.data.shape), device=self.state.device)
        return self.data.rows(rows).to(self.state.device).float().div_(127.5).sub_(1.0)

    @torch.no_grad()
    def _make(self, which: str, count: int) -> Tensor:
        """Images of the fixed latents by the averaged or the raw generator."""
        network = self.state.averages["generator"].network if which == "average" else self.state.players["generator"]
        like = next(network.parameters())
        source = seeding.generator("check-up", self.config.seed)
        latent = self.latent(count, source).to(like.device, like.dtype)
        labels = self._fake_labels(count) if self._conditional("generator") else None
        training = network.training
        network.eval()
        made = [
            network(latent[start : start + CHUNK], None if labels is None else labels[start : start + CHUNK]).float()
            for start in range(0, count, CHUNK)
        ]
        network.train(training)
        images = torch.cat(made)
        # the averaged generator's images are looked at as they are delivered
        return images.clamp(-1, 1) if which == "average" else images

    def _judge(self, images: Tensor, label: Tensor | None) -> Tensor:
        """Logits as they are given outside training; the players' states stay as they are."""
        assert self.family.judge is not None
        players = self.state.players
        packing = self.config.packing
        usable = len(images) // packing * packing
        labels = None if label is None else label[:usable]
        shown = pack(images[:usable], packing) if packing > 1 else images
        training = {name: player.training for name, player in players.items()}
        for player in players.values():
            player.eval()
        logits = self.family.judge(players, shown.to(next(players["generator"].parameters()).dtype), labels)
        for name, player in players.items():
            player.train(training[name])
        return logits.float()


def _by_one(examine: Examine, by_all: bool) -> Examine:
    """Of several processes the first examines, and all hear what it found; what it leaves is for itself.

    ``by_all``: they all do, where nobody can play the networks alone.
    """

    def examined(memory: Mapping[str, Tensor]) -> tuple[dict[str, float], dict[str, Tensor]]:
        left: dict[str, Tensor] = {}
        if by_all:
            signals, left = examine(memory)
            return agreement.agree(signals), left

        def look() -> dict[str, float]:
            signals, found = examine(memory)
            left.update(found)
            return signals

        return agreement.lead(look), left

    return examined


def care(config: RunConfig, guard: Guard, state: GameState, family: Family, latent: Latent) -> None:
    """Give the game a monitor, where health is on."""
    if config.health.mode != "off":
        examination = Examination(config, guard, state, family, latent)
        state.companions["health"] = Monitor(
            config.health, config.images, _by_one(examination, bool(sharding.sharded(config)))
        )
