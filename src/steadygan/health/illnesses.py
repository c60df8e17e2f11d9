"""Illnesses on purpose: runs are made ill to teach, and to measure what health finds and mends."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from steadygan.config import RunConfig
from steadygan.data.dataset import DataSet
from steadygan.errors import SteadyganError, unknown
from steadygan.game.move import Draw, Move
from steadygan.health import illness_config, illness_data, illness_moves

SEVERITIES = {"mild": 1.0, "medium": 2.0, "severe": 3.0}
"""Words for severities."""
USUAL = 2.0
LOWEST, HIGHEST = 0.5, 3.5


@dataclass(frozen=True)
class Illness:
    """A way for a run to go wrong, at any severity from 0.5 to 3.5.

    Attributes:
        meaning: one plain line.
        parameters: what the changes below get at severities 1, 2 and 3.
        expected: diagnoses that name it rightly.
        config: applied once, when the run is planned; ``config.json`` then holds the ill values.
        data: (data, parameter, seed), applied whenever the data are opened.
        draw: wraps the source of batches; a pure function of (position, count, attempt).
        moves: wraps the goals of the game.
    """

    meaning: str
    parameters: tuple[float, float, float]
    expected: tuple[str, ...]
    config: Callable[[RunConfig, float], RunConfig] | None = None
    data: Callable[[DataSet, float, int], DataSet] | None = None
    draw: Callable[[Draw, float, RunConfig], Draw] | None = None
    moves: Callable[[tuple[Move, ...], float, RunConfig], tuple[Move, ...]] | None = None

    def parameter(self, severity: float) -> float:
        """The parameter at ``severity``: piecewise linear, of logarithms where all three are positive."""
        positive = min(self.parameters) > 0
        values = [math.log(value) for value in self.parameters] if positive else list(self.parameters)
        first = 0 if severity < SEVERITIES["medium"] else 1
        found = values[first] + (severity - 1 - first) * (values[first + 1] - values[first])
        return math.exp(found) if positive else found


ILLNESSES: dict[str, Illness] = {
    "generator-rate": Illness(
        "the generator's learning rate is far too high",
        (20, 150, 1000),
        ("long-steps", "blow-up", "collapse", "mode-dropping", "oscillation", "saturation", "strong-discriminator"),
        config=illness_config.generator_rate,
    ),
    "discriminator-rate": Illness(
        "the discriminator's learning rate is far too high",
        (50, 300, 1500),
        (
            "long-steps",
            "blow-up",
            "oscillation",
            "strong-discriminator",
            "weak-discriminator",
            "collapse",
            "saturation",
        ),
        config=illness_config.discriminator_rate,
    ),
    "momentum": Illness(
        "every player has much momentum (beta1 = 0.9) and a high learning rate",
        (1.5, 4, 12),
        (
            "momentum",
            "long-steps",
            "shock",
            "blow-up",
            "oscillation",
            "collapse",
            "mode-dropping",
            "saturation",
            "strong-discriminator",
        ),
        config=illness_config.momentum,
    ),
    "strong-discriminator": Illness(
        "the generator learns so slowly that the discriminator is far ahead",
        (3, 10, 40),
        ("short-steps", "strong-discriminator", "stall"),
        config=illness_config.strong_discriminator,
    ),
    "weak-discriminator": Illness(
        "the discriminator is narrow and learns so slowly that it teaches the generator nothing",
        (3, 12, 50),
        ("short-steps", "weak-discriminator", "collapse", "mode-dropping", "stall"),
        config=illness_config.weak_discriminator,
    ),
    "no-penalty": Illness(
        "a deep discriminator with neither penalty nor normalisation",
        (3, 5, 8),
        (
            "unbounded",
            "strong-discriminator",
            "overfitting",
            "collapse",
            "mode-dropping",
            "oscillation",
            "blow-up",
            "saturation",
        ),
        config=illness_config.no_penalty,
    ),
    "tiny-batch": Illness(
        "the same images in tiny batches",
        (8, 4, 2),
        ("few-images", "oscillation", "mode-dropping", "collapse", "stall", "blow-up"),
        config=illness_config.tiny_batch,
    ),
    "bursts": Illness(
        "in some rounds the gradient is suddenly huge or not finite",
        (1, 2, 5),
        ("blow-up", "shock", "stall"),
        moves=illness_moves.bursts,
    ),
    "corrupt-batches": Illness(
        "a share of the batches is noise",
        (0.05, 0.2, 0.6),
        ("bad-data", "artefacts", "oscillation", "drift"),
        draw=illness_data.corrupt_batches,
    ),
    "duplicates": Illness(
        "a large share of the training set is copies of a few images, and the held-out images repeat them",
        (0.5, 0.75, 0.9),
        ("bad-data", "copying", "overfitting"),
        data=illness_data.duplicates,
    ),
    "small-data": Illness(
        "so few images that they are learnt by heart",
        (200, 80, 30),
        ("bad-data", "overfitting", "copying", "mode-dropping"),
        data=illness_data.small_data,
    ),
    "batch-norm": Illness(
        "batch normalisation in a discriminator whose gradient is penalised, on few samples",
        (8, 4, 2),
        (
            "few-images",
            "blow-up",
            "oscillation",
            "weak-discriminator",
            "strong-discriminator",
            "collapse",
            "mode-dropping",
        ),
        config=illness_config.batch_norm,
    ),
    "heavy-penalty": Illness(
        "penalties so heavy that the discriminator may not tell anything",
        (30, 300, 3000),
        ("smothered", "weak-discriminator", "stall", "collapse", "mode-dropping"),
        config=illness_config.heavy_penalty,
    ),
    "saturation": Illness(
        "the generator's last layer starts so large that its outputs stand at the ends of their range",
        (100, 500, 5000),
        ("swollen", "saturation", "stall", "strong-discriminator"),
        moves=illness_moves.saturation,
    ),
    "checkerboard": Illness(
        "the generator puts a chessboard on its images",
        (0.08, 0.15, 0.3),
        ("artefacts",),
        moves=illness_moves.checkerboard,
    ),
    "weight-clip": Illness(
        "the discriminator's weights are clipped too tightly",
        (0.03, 0.01, 0.003),
        ("smothered", "weak-discriminator", "stall", "collapse", "mode-dropping"),
        config=illness_config.weight_clip,
    ),
    "rate-drift": Illness(
        "every learning rate rises slowly over the run",
        (20, 200, 2000),
        ("long-steps", "drift", "blow-up", "oscillation", "collapse", "saturation", "strong-discriminator"),
        config=illness_config.rate_drift,
    ),
    "data-shift": Illness(
        "from the middle of the run on a share of the images are negatives",
        (0.2, 0.5, 1.0),
        ("drift", "bad-data"),
        draw=illness_data.data_shift,
    ),
    "top-k": Illness(
        "only the few most convincing fakes teach the generator",
        (0.3, 0.1, 0.03),
        ("few-fakes", "mode-dropping", "collapse"),
        config=illness_config.top_k,
    ),
    "collapse": Illness(
        "the generator is drawn to samples that are all alike",
        (10, 50, 250),
        ("collapse", "mode-dropping"),
        moves=illness_moves.collapse,
    ),
}
"""Every illness by its name, as ``--sicken`` takes it."""


def parse(text: str) -> tuple[Illness, float]:
    """The illness and severity of ``NAME``, ``NAME:2.5`` or ``NAME:mild``; the usual severity is 2, ``medium``.

    Raises:
        SteadyganError: for a name in no table (names the nearest), or a severity that is none.
    """
    name, separator, severity = (part.strip() for part in text.partition(":"))
    if name not in ILLNESSES:
        raise unknown("illness", name, ILLNESSES)
    return ILLNESSES[name], _severity(severity) if separator else USUAL


def _severity(text: str) -> float:
    try:
        value = SEVERITIES[text] if text in SEVERITIES else float(text)
    except ValueError:
        value = math.nan
    if not LOWEST <= value <= HIGHEST:
        remedy = f"choose {', '.join(SEVERITIES)} or a number from {LOWEST:g} to {HIGHEST:g}"
        raise SteadyganError(f"{text!r} is no severity of an illness", remedy)
    return value


def sicken_config(text: str, config: RunConfig) -> RunConfig:
    """The config of a run with the illness of ``text``; "" and illnesses of other parts leave it as it is.

    Raises:
        SteadyganError: where the illness does not apply to this config; says which recipe it is for.
    """
    if not text:
        return config
    illness, severity = parse(text)
    return illness.config(config, illness.parameter(severity)) if illness.config else config


def sicken_data(text: str, data: DataSet, seed: int) -> DataSet:
    """The data of an ill run, with a fingerprint of their own where they are changed."""
    if not text:
        return data
    illness, severity = parse(text)
    return illness.data(data, illness.parameter(severity), seed) if illness.data else data


def sicken_draw(text: str, draw: Draw, config: RunConfig) -> Draw:
    """The source of batches of an ill run."""
    if not text:
        return draw
    illness, severity = parse(text)
    return illness.draw(draw, illness.parameter(severity), config) if illness.draw else draw


def sicken_moves(text: str, moves: tuple[Move, ...], config: RunConfig) -> tuple[Move, ...]:
    """The moves of an ill run."""
    if not text:
        return moves
    illness, severity = parse(text)
    return illness.moves(moves, illness.parameter(severity), config) if illness.moves else moves
