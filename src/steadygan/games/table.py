"""Every family by name: a family of one's own is one file and one line here, or ``module:attribute``."""

from __future__ import annotations

from steadygan.games.family import Family

FAMILIES: dict[str, Family] = {
    "adversarial": Family(lambda kit: kit.adversarial.moves()),
}
"""What the setting ``game`` names."""
