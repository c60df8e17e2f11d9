"""Wanted by the metrics of a peer, which no round calls: any name leads nowhere."""

from __future__ import annotations


class Nowhere:
    """Every attribute is another one of these."""

    def __getattr__(self, name: str) -> Nowhere:
        if name.startswith("__"):
            raise AttributeError(name)
        return Nowhere()


__getattr__ = Nowhere().__getattr__
