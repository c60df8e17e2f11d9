"""steadygan trains generative adversarial networks without babysitting.

``steadygan.train(...)``, ``steadygan.resume(...)``, ``steadygan.load(...)`` and ``steadygan.evaluate(...)`` are all
that most people need; torch is imported with the first of them, not with the package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from steadygan.errors import SteadyganError

if TYPE_CHECKING:
    from steadygan.api import (
        Trained,
        bench,
        compare,
        diagnose,
        evaluate,
        explain,
        load,
        resume,
        train,
        write_explanation,
        write_report,
    )

__version__ = "0.1.0"
__all__ = [
    "SteadyganError",
    "Trained",
    "__version__",
    "bench",
    "compare",
    "diagnose",
    "evaluate",
    "explain",
    "load",
    "resume",
    "train",
    "write_explanation",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from steadygan import api

        return getattr(api, name)
    raise AttributeError(f"module 'steadygan' has no attribute {name!r}")
