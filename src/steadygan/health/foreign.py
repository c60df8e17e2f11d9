"""Records of other programs: a table of figures by step, read as signals as far as they are known."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from steadygan.errors import SteadyganError

SYNONYMS: dict[str, tuple[str, ...]] = {
    "images_seen": (
        "images_seen",
        "images",
        "nimg",
        "step",
        "steps",
        "iter",
        "iters",
        "iteration",
        "iterations",
        "epoch",
    ),
    "kimg": ("kimg", "progress_kimg", "tick_kimg"),
    "discriminator/loss": (
        "d_loss",
        "loss_d",
        "loss_d_loss",
        "disc_loss",
        "train_d_loss",
        "lossd",
        "errd",
        "discriminator_loss",
        "loss_discriminator",
        "critic_loss",
    ),
    "generator/loss": (
        "g_loss",
        "loss_g",
        "loss_g_loss",
        "gen_loss",
        "train_g_loss",
        "lossg",
        "errg",
        "generator_loss",
        "loss_generator",
    ),
    "discriminator/real_logits": ("d_x", "real_logits", "d_real", "loss_scores_real", "real_score", "real_scores"),
    "discriminator/fake_logits": ("d_g_z", "fake_logits", "d_fake", "loss_scores_fake", "fake_score", "fake_scores"),
    "discriminator/real_signs": ("loss_signs_real", "signs_real", "real_signs"),
    "discriminator/gradient_norm": ("d_grad_norm", "grad_norm_d", "discriminator_grad_norm", "d_gradient_norm"),
    "generator/gradient_norm": ("g_grad_norm", "grad_norm_g", "generator_grad_norm", "g_gradient_norm"),
    "health/distance": ("fid", "fid50k", "fid50k_full", "fid10k", "kid", "kid50k_full", "kid50k"),
}
"""Names, in lower case with every other character as an underscore, under which others write the same figure."""


def known_as(name: str) -> str | None:
    """The signal that a column of another program holds; None for one that is not known."""
    if name in SYNONYMS:
        return name
    return next((signal for signal, names in SYNONYMS.items() if _plain(name) in names), None)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def read_foreign(path: Path) -> list[dict[str, Any]]:
    """Records from a .csv or .jsonl file, with the signals that are known by their columns' names.

    Raises:
        SteadyganError: where the file cannot be read, or holds no figure that is known.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SteadyganError(f"cannot read {path} ({error})", "give a .csv or .jsonl file") from None
    try:
        rows = _from_csv(text) if path.suffix.lower() == ".csv" else _from_jsonl(text)
    except (csv.Error, ValueError, RecursionError) as error:
        wanted = "a table with a line of names" if path.suffix.lower() == ".csv" else "one JSON object a line"
        raise SteadyganError(f"{path} is not {wanted} ({error})", "give a .csv or .jsonl file") from None
    names = _signals(name for row in rows[:50] for name in row if isinstance(name, str))
    if not set(names.values()) - {"images_seen", "kimg"}:
        found = ", ".join(sorted({str(name) for row in rows[:1] for name in row})) or "nothing"
        raise SteadyganError(f"no figure in {path} is known (found {found})", "name a column d_loss, g_loss or fid")
    return _in_units_of_the_first([_line(number, row, names) for number, row in enumerate(rows, 1)])


def _signals(names: Iterable[str]) -> dict[str, str]:
    """Columns by the signal that they hold; of several clocks the one that counts finest."""
    known = {name: signal for name in names if (signal := known_as(name))}
    clocks = [name for name, signal in known.items() if signal == "images_seen"]
    order = SYNONYMS["images_seen"]
    finest = min(clocks, key=lambda name: order.index(_plain(name)) if _plain(name) in order else 0, default=None)
    return {name: signal for name, signal in known.items() if signal != "images_seen" or name == finest}


def _in_units_of_the_first(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Their distance has other units than ours: divided by the largest of the first three it is about 1 untrained."""
    first = [line["health/distance"] for line in lines if math.isfinite(line.get("health/distance", math.nan))][:3]
    if first and max(first) > 0:
        for line in lines:
            if "health/distance" in line:
                line["health/distance"] /= max(first)
    return lines


def _from_csv(text: str) -> Sequence[Mapping[Any, Any]]:
    return list(csv.DictReader(text.splitlines()))


def _from_jsonl(text: str) -> Sequence[Mapping[Any, Any]]:
    rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    return [row for row in rows if isinstance(row, dict)]


def _line(number: int, row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    line: dict[str, Any] = {"images_seen": number}
    for name, signal in names.items():
        value = _number(row.get(name))
        if signal == "kimg" and value is not None and math.isfinite(value):
            line["images_seen"] = int(value * 1000)
        elif signal == "images_seen" and value is not None and math.isfinite(value):
            line["images_seen"] = int(value)
        elif signal not in ("kimg", "images_seen") and value is not None:
            line[signal] = value
    return line


def _number(value: Any) -> float | None:
    """A cell as a number: None where there is none, NaN where it says so."""
    if isinstance(value, dict):  # stylegan's stats.jsonl keeps mean, std and number of each figure
        value = value.get("mean")
    try:
        return None if value is None or value == "" else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
