"""``steadygan explain``: a page on what networks have learned."""

from __future__ import annotations

import time
from pathlib import Path

from steadygan import api
from steadygan.cli.printing import clock, console
from steadygan.cli.progress import Decoding
from steadygan.runtime import storage


def explain(run: Path, out: Path | None, seed: int, device: str, *, best: bool) -> None:
    """Write the page, and say where it is."""
    start, progress = time.monotonic(), Decoding()
    try:
        path = api.write_explanation(run, out, seed=seed, device=device, best=best, progress=progress)
    finally:
        progress.stop()
    size = storage.size(path.stat().st_size)
    console.print(f"explanation: {path} ({size}, in {clock(time.monotonic() - start)})", markup=False)
