"""``steadygan explore``: serve the page for exploring one run until it is stopped."""

from __future__ import annotations

import contextlib
from pathlib import Path

from steadygan.cli.printing import console
from steadygan.cli.progress import Decoding
from steadygan.errors import SteadyganError
from steadygan.session.exploring import painter
from steadygan.studio.gate import Gate, is_loopback
from steadygan.studio.library import Library
from steadygan.studio.server import Studio


def explore(run: Path, host: str, port: int) -> None:
    """Read the run, serve the page, say where it is, and wait for Ctrl-C."""
    if not host:
        raise SteadyganError("--host is empty", "give an address of this machine, as 127.0.0.1")
    progress = Decoding()
    try:
        paints = painter(run, progress=progress)
    finally:
        progress.stop()
    with (
        contextlib.closing(paints),
        contextlib.suppress(KeyboardInterrupt),
        Studio(Library(run), Gate(host, None), (host, port), paints) as studio,
    ):
        page = f"http://{f'[{host}]' if ':' in host else host}:{studio.server_address[1]}/explore"
        console.print(f"exploring {run}: {page}", markup=False)
        if not is_loopback(host):
            console.print("whoever can reach this machine can look; nothing is encrypted", markup=False)
        console.print("Ctrl-C ends it", markup=False)
        studio.serve_forever()
