"""The protocol of a measured value: everything that it depends on, so that only like is put beside like."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from steadygan import __version__
from steadygan.errors import SteadyganError

HARMLESS = frozenset({"seeds", "steadygan", "torch", "floor_count"})
"""Fields that may differ between values that are compared: they stay on one scale; the difference is still told."""


class Protocol(BaseModel):
    """What a value depends on besides the fakes themselves.

    Attributes:
        features: name of the feature network.
        features_hash: of its definition and weights.
        resize: how images come to its size, in words.
        rounding: how pixels are rounded on the way, in words.
        size: width, height and channels of the images compared.
        data: fingerprint of the real set.
        split: which part of it.
        real: number of reals.
        fake: number of fakes.
        seeds: of the fakes, one measurement each.
        averaged: whether the averaged generator made the fakes; None where files were measured.
        floor_count: number of reals on either side of the floor.
        steadygan: version.
        torch: version.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    features: str
    features_hash: str
    resize: str
    rounding: str
    size: str
    data: str
    split: str
    real: int
    fake: int
    seeds: tuple[int, ...]
    averaged: bool | None
    floor_count: int = 0
    steadygan: str = __version__
    torch: str = torch.__version__

    @property
    def hash(self) -> str:
        """Twelve hex digits; equal protocols have equal ones on every machine and in every version."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def scale(self) -> str:
        """The same without the harmless fields: values of one scale may stand in one row."""
        fields = {key: value for key, value in self.model_dump(mode="json").items() if key not in HARMLESS}
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:12]

    def differences(self, other: Protocol, *, harmless: bool = False) -> list[str]:
        """The fields in which two protocols differ, in words; the harmless ones only where asked for."""
        mine, theirs = self.model_dump(), other.model_dump()
        return [
            f"{key} is {mine[key]!r} and {theirs[key]!r}"
            for key in mine
            if mine[key] != theirs[key] and (harmless or key not in HARMLESS)
        ]


class Value(BaseModel):
    """One measured value.

    Attributes:
        metric: as in the table of metrics.
        value: mean over the seeds.
        error: standard error of the estimator within one seed, where it has one.
        spread: standard deviation over the seeds, where there are several.
        floor: the same metric with other reals in the place of fakes: what a perfect generator would score.
        protocol: what it depends on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: str
    value: float
    error: float | None = None
    spread: float | None = None
    floor: float | None = None
    protocol: Protocol

    def line(self, images_seen: int | None = None) -> dict[str, Any]:
        """The value as a line of ``metrics.jsonl``."""
        clock = {} if images_seen is None else {"images_seen": images_seen}
        return {**clock, **self.model_dump(mode="json"), "protocol_hash": self.protocol.hash}

    @classmethod
    def parse(cls, line: Mapping[str, Any]) -> Value:
        """The value in a line of ``metrics.jsonl``.

        Raises:
            SteadyganError: for a line that is no value.
        """
        fields = {key: part for key, part in line.items() if key not in ("images_seen", "protocol_hash")}
        if fields.get("value") is None:
            fields["value"] = math.nan
        try:
            return cls(**fields)
        except ValidationError:
            raise SteadyganError(
                f"{str(line)[:80]!r} is no measured value", "the file metrics.jsonl is damaged, or of another version"
            ) from None


def require_same(first: Protocol, second: Protocol) -> None:
    """Raise SteadyganError, naming the fields that differ, where two protocols give values on different scales."""
    if found := first.differences(second):
        raise SteadyganError(f"the protocols differ ({'; '.join(found)})", "measure both by one protocol")
