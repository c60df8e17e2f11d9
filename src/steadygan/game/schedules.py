"""Values over the clock."""

from __future__ import annotations

import math

from steadygan.config import ScheduleConfig


def value_at(schedule: ScheduleConfig, images_seen: int, total: int) -> float:
    """The scheduled value at ``images_seen`` in a run of ``total`` images.

    With t = (images_seen - begin) / (finish - begin) cut to [0, 1]: linear is ``value + t (end - value)``, cosine is
    ``end + (value - end) (1 + cos(pi t)) / 2`` (Loshchilov & Hutter 2017), step is
    ``value * factor^(images_seen // every)``.
    During ``warm_up`` images the value is scaled by ``images_seen / warm_up``.

    >>> value_at(ScheduleConfig(kind="linear", value=1.0, end=0.0), 25, 100)
    0.75
    """
    value = schedule.value
    if schedule.kind in ("linear", "cosine"):
        finish = schedule.finish or total
        share = min(1.0, max(0.0, (images_seen - schedule.begin) / max(1, finish - schedule.begin)))
        if schedule.kind == "linear":
            value += share * (schedule.end - schedule.value)
        else:
            value = schedule.end + (schedule.value - schedule.end) * (1 + math.cos(math.pi * share)) / 2
    elif schedule.kind == "step":
        value *= schedule.factor ** (images_seen // schedule.every)
    if images_seen < schedule.warm_up:
        value *= images_seen / schedule.warm_up
    return value
