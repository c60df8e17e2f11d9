"""From a config and a data set to players, moves, state and samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from steadygan.config import RunConfig, constant
from steadygan.data.augmentation import augment, random_flip, resolve
from steadygan.data.dataset import DataSet
from steadygan.data.order import Order
from steadygan.errors import SteadyganError
from steadygan.game.controls import Controls
from steadygan.game.move import Batch, Draw, Move
from steadygan.game.optimizers import build_optimizer, momentum
from steadygan.game.round import Record
from steadygan.game.state import GameState, Setting
from steadygan.games.adversarial import AdversarialGame, LazyPenalty
from steadygan.games.family import Family, Kit
from steadygan.games.latents import Latent
from steadygan.health.adaptive import AdaptiveAugmentation, signs
from steadygan.health.guarding import DISTINCT, FAMILIAR, Guard
from steadygan.health.illnesses import sicken_draw, sicken_moves
from steadygan.objectives.adversarial import ADVERSARIAL_LOSSES, AdversarialLoss, smooth
from steadygan.objectives.auxiliary import pack
from steadygan.objectives.penalties import PENALTIES
from steadygan.objectives.weights import WEIGHT_PENALTIES
from steadygan.runtime import devices, processes, seeding
from steadygan.session import sharding
from steadygan.session.caring import care
from steadygan.session.families import CHUNK, build_players, check_players, draw_samples, family, lookup, options

RESERVE_PENALTIES = ("r1", "r2")
RESERVE_POLICY = ("translate", "cutout")
"""What stands ready at weight and strength 0 where a recipe has none of its own, for health to turn on."""


LARGEST_BATCH = 4096
"""What the control ``batch`` may reach; larger batches than that are for the plan to choose."""
RANGES = {
    "augmentation": (0.0, 1.0),
    "instance_noise": (0.0, 10.0),
    "top_k": (0.01, 1.0),
    "weight_clip": (0.0, float("inf")),
    "feature_matching": (0.0, float("inf")),
    "spectrum_matching": (0.0, float("inf")),
    "lecam": (0.0, float("inf")),
}
"""Range of each further control of the standard game."""


@dataclass
class Wired:
    """A run, ready to be played: state, moves and the source of batches."""

    config: RunConfig
    state: GameState
    moves: Sequence[Move]
    draw: Draw
    device: torch.device

    def sample(self, count: int, seed: int) -> Tensor:
        """``count`` images (N, C, H, W) in [-1, 1] on the CPU from the averaged generator."""
        return torch.cat(list(self.samples(count, seed)))

    def samples(self, count: int, seed: int, first: int = 0, step: int = 1) -> Iterator[Tensor]:
        """The same in chunks, for counts that do not fit in memory; every ``step``-th of them from ``first`` on.

        Where players lie in shards all processes must ask at once, for equally many.
        """
        network = self.state.averages["generator"].network
        for start in range(first * CHUNK, count, step * CHUNK):
            yield draw_samples(network, self.config, self.device, seed, start // CHUNK)[: count - start]
        if self.shared and 0 < -(-count // CHUNK) % step <= first:
            # the others have one more to make, which takes everybody's weights
            draw_samples(network, self.config, self.device, seed, 0)

    @property
    def shared(self) -> bool:
        """Whether players lie in shards, so that nobody can play them alone."""
        return bool(sharding.sharded(self.config))


def prepare(config: RunConfig, data: DataSet) -> RunConfig:
    """The config with everything settled that the data decides. Raises SteadyganError where the two do not fit."""
    check_processes(config)
    sharding.check(config)
    count = len(data.train)
    if count < config.batch:
        remedy = f"set batch={1 << (count.bit_length() - 1)} or add images" if count > 1 else "add images"
        raise SteadyganError(f"{data.name} has {count} training images, fewer than a batch of {config.batch}", remedy)
    players = config.players.values()
    if any(player.network.conditional for player in players) and data.classes < 2:
        known = "has one class only" if data.classes else "has no labels"
        remedy = "set conditional=false, or sort images into a sub-folder a class, two or more"
        raise SteadyganError(f"{data.name} {known}", remedy)
    judge = config.players.get("discriminator")
    if config.packing > 1 and judge is not None and judge.network.conditional:
        raise SteadyganError("a conditional discriminator cannot judge packs", "set packing=1 or conditional=false")
    found = family(config)
    own = options(found, config)
    found.check(config, own, data)
    settled = {"shape": data.shape, "classes": data.classes, "options": own.model_dump(mode="json")}
    return config.model_copy(update=settled)


def check_processes(config: RunConfig) -> None:
    """Raise SteadyganError where the processes cannot have equal shares of every micro-batch, in whole packs."""
    world, unit = processes.count(), config.accumulate * config.packing
    if config.batch % (world * unit):
        near = max(1, round(config.batch / (world * unit))) * world * unit
        what = f"a batch of {config.batch}" + (
            f" in {config.accumulate} micro-batches" if config.accumulate > 1 else ""
        )
        what += f", packed by {config.packing}," if config.packing > 1 else ""
        raise SteadyganError(f"{what} cannot be dealt evenly to {world} processes", f"set batch={near}")


def wire(config: RunConfig, data: DataSet, *, device: torch.device | None = None) -> Wired:
    """Build everything that ``config`` names over ``data``."""
    place = device or devices.choose_device(config.device)
    precision = devices.choose_precision(config.precision, place)
    own = torch.float64 if precision == torch.float64 else torch.float32
    found = family(config)
    check_players(config, found)
    seeding.reseed("networks", config.seed)
    roles, players = config.players, build_players(config)
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    averages = sharding.settle(players, found.averages, sharding.sharded(config), place, own, layout)
    loss = _loss(config)
    state = GameState(
        players=players,
        optimizers={
            name: build_optimizer(player.parameters(), roles[name].optimizer) for name, player in players.items()
        },
        controls=_controls(config, found, len(data.train)),
        setting=_setting(config, precision),
        averages=averages,
    )
    guard = Guard(data, lambda rows: to_batch(data, rows, place, own, torch.contiguous_format), flip=config.data.flip)
    draw = sicken_draw(config.sicken, _drawer(config, guard, state.controls, place, own), config)
    draw = guard.over(draw, state.controls, config.seed, config.accumulate)
    if config.augmentation.adaptive:
        sign = signs if loss.signs else _memorising(state, draw, _held_out(config, data, place, own), config, found)
        plan = config.augmentation
        state.companions["augmentation"] = AdaptiveAugmentation(sign, plan.target, plan.speed, config.batch)
    latent = found.latent(config, options(found, config))
    care(config, guard, state, found, latent)
    moves = found.moves(_kit(config, found, loss, latent, data))
    return Wired(config, state, sicken_moves(config.sicken, moves, config), draw, place)


def _loss(config: RunConfig) -> AdversarialLoss:
    loss: AdversarialLoss = lookup("loss", config.loss, ADVERSARIAL_LOSSES)
    if config.label_smoothing or config.fake_smoothing:
        loss = smooth(loss, config.label_smoothing, config.fake_smoothing)
    return loss


def _kit(config: RunConfig, found: Family, loss: AdversarialLoss, latent: Latent, data: DataSet) -> Kit:
    """What the family's moves are made of, the standard two-player game included."""
    roles, policy = config.players, resolve(config.augmentation.policy or RESERVE_POLICY)
    penalties = [LazyPenalty(name, lookup("penalty", name, PENALTIES), p.every) for name, p in config.penalties.items()]
    if "penalties" in found.knobs:
        # a discriminator in shards has no second derivatives
        kind = "{}-approximate" if "discriminator" in config.sharded else "{}"
        penalties += [
            LazyPenalty(name, PENALTIES[kind.format(name)])
            for name in RESERVE_PENALTIES
            if name not in config.penalties
        ]
    game = AdversarialGame(
        loss=loss,
        latent=lambda count, device: processes.drawn(count, lambda number: latent(number, None, device)),
        penalties=tuple(penalties),
        weight_penalties={
            name: {kind: lookup("weight penalty", kind, WEIGHT_PENALTIES) for kind in player.weight_penalties}
            for name, player in roles.items()
        },
        historical=frozenset(name for name, player in roles.items() if player.historical_averaging != constant(0.0)),
        augment=lambda images, strength: augment(images, policy, strength),
        label_flipping=config.label_flipping,
        packing=config.packing,
        conditional=any(player.network.conditional for player in roles.values()),
        share_fakes=config.share_fakes,
    )
    return Kit(config, options(found, config), loss, latent, data, game)


def _setting(config: RunConfig, precision: torch.dtype) -> Setting:
    return Setting(
        total=config.images,
        batch=config.batch,
        unit=config.packing * config.accumulate * processes.count(),
        seed=config.seed,
        accumulate=config.accumulate,
        record_every=config.record_every,
        ramp_up=config.average.ramp_up,
        normalise=frozenset(name for name, player in config.players.items() if player.normalise_gradient),
        autocast=torch.bfloat16 if precision == torch.bfloat16 else None,
    )


def _controls(config: RunConfig, found: Family, images: int) -> Controls:
    """Every knob that may change during the run, with its range; of the standard game's those that the family heeds.

    A batch may grow, up to the ``images`` there are; smaller ones than the plan's are not known to fit the game.
    """
    controls = Controls(config.images)
    controls.declare("batch", float(config.batch), config.batch, max(config.batch, min(LARGEST_BATCH, images)))
    for name, player in config.players.items():
        controls.declare(f"learning_rate.{name}", player.optimizer.learning_rate, 0.0, 10.0)
        controls.declare(f"momentum.{name}", momentum(player.optimizer), 0.0, 0.999)
        controls.declare(f"steps.{name}", float(player.steps), 1.0, 100.0)
        controls.declare(f"clip.{name}", player.clip_norm)
        controls.declare(f"max_gain.{name}", 0.0)
        controls.declare(f"historical_averaging.{name}", player.historical_averaging)
        for kind, weight in player.weight_penalties.items():
            controls.declare(f"penalty.{kind}.{name}", weight)
    if "penalties" in found.knobs:
        for name, penalty in config.penalties.items():
            controls.declare(f"penalty.{name}", penalty.weight)
        for name in RESERVE_PENALTIES:
            if name not in config.penalties:
                controls.declare(f"penalty.{name}", 0.0)
    for name in ("skip_broken", DISTINCT, FAMILIAR):
        controls.declare(name, 0.0, 0.0, 1.0)
    if "auxiliary" in found.knobs:
        controls.declare("auxiliary", 1.0)
    controls.declare("average.half_life", config.average.half_life)
    for name, (low, high) in RANGES.items():
        if name in found.knobs:
            plan = config.augmentation.strength if name == "augmentation" else getattr(config, name)
            controls.declare(name, plan, low, high)
        elif name != "augmentation" and getattr(config, name) != type(config).model_fields[name].default:
            raise SteadyganError(f"the game {config.game!r} has no use for {name}", "leave it out")
    if "penalties" not in found.knobs and config.penalties:
        raise SteadyganError(f"the game {config.game!r} has no use for penalties", "leave them out")
    for name, (plan, low, high) in found.controls(config, options(found, config)).items():
        controls.declare(name, plan, low, high)
    return controls


def to_batch(data: DataSet, rows: Any, device: torch.device, dtype: torch.dtype, layout: torch.memory_format) -> Batch:
    """Rows of the set on the device, scaled to [-1, 1]."""
    images = data.rows(rows).to(device, non_blocking=True).to(dtype).div_(127.5).sub_(1.0)
    label = None if data.labels is None else torch.from_numpy(data.labels[rows]).to(device)
    return Batch(images.contiguous(memory_format=layout), label)


def _drawer(config: RunConfig, guard: Guard, controls: Controls, device: torch.device, dtype: torch.dtype) -> Draw:
    """Batches by position, of which several processes get their shares; the last one is kept, for both players."""
    orders, parts = dict[DataSet, Order](), config.accumulate
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    last: dict[tuple[DataSet, int, int, int], Batch] = {}

    def draw(position: int, count: int, attempt: int) -> Batch:
        data = guard.chosen(controls)
        key = (data, position, count, attempt)
        if key not in last:
            if data not in orders:
                orders[data] = data.order(config.seed)
            order = orders[data]
            rows = np.concatenate(
                [
                    order.take(start, count // parts, attempt=attempt, rank=processes.rank(), world=processes.acting())
                    for start in range(position, position + count, count // parts)
                ]
            )
            batch = to_batch(data, rows, device, dtype, layout)
            if config.data.flip:
                batch = batch._replace(real=random_flip(batch.real, 0.5, parts))
            last.clear()
            last[key] = batch
        return last[key]

    return draw


def _held_out(config: RunConfig, data: DataSet, device: torch.device, dtype: torch.dtype) -> Batch:
    rows = data.held_out[: 256 // config.packing * config.packing]
    if len(rows) < config.packing or not len(rows):
        raise SteadyganError(
            f"adaptive augmentation with the loss {config.loss!r} needs held-out images, and {data.name} has none",
            "raise data.held_out, or set augmentation.adaptive=false",
        )
    return to_batch(data, rows, device, dtype, torch.contiguous_format)


def _memorising(
    state: GameState, draw: Draw, held_out: Batch, config: RunConfig, found: Family
) -> Callable[[Record], float]:
    """r_v = (E D(train) - E D(held out)) / (E D(train) - E D(fake)), ADA's sign for losses without a zero."""
    judge = found.judge
    assert judge is not None  # as check_players has seen to

    def logit(batch: Batch) -> Tensor:
        label = batch.label if config.players["discriminator"].network.conditional else None
        usable = len(batch.real) // config.packing * config.packing
        return judge(state.players, pack(batch.real[:usable], config.packing), label).mean()

    def sign(record: Record) -> float:
        batch = state.batch
        with processes.together():
            train = draw(record.images_seen - batch, batch, record.attempt)
            label = None if train.label is None else processes.whole(train.label)
            train = Batch(processes.whole(train.real), label)
        with torch.no_grad():
            for player in state.players.values():
                player.eval()
            real, held = logit(train), logit(held_out)
            for player in state.players.values():
                player.train()
        gap = float(real) - float(record.signals["discriminator/fake_logits"])
        return min(1.0, max(0.0, float(real - held) / gap)) if gap > 1e-6 else 0.0

    return sign
