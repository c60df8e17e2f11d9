"""Every family by name: a family of one's own is one file and one line here, or ``module:attribute``."""

from __future__ import annotations

from steadygan.games.consistency import CONSISTENCY
from steadygan.games.divergence import DIVERGENCE
from steadygan.games.family import Family
from steadygan.games.several import SEVERAL
from steadygan.games.unrolled import UNROLLED

FAMILIES: dict[str, Family] = {
    "adversarial": Family(lambda kit: kit.adversarial.moves()),
    "mad-gan": SEVERAL,
    "f-gan": DIVERGENCE,
    "unrolled": UNROLLED,
    "consistency": CONSISTENCY,
}
"""What the setting ``game`` names."""
