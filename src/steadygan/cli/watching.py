"""``steadygan watch``: serve the live page until it is stopped."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

from steadygan.cli.printing import console
from steadygan.errors import SteadyganError
from steadygan.studio.gate import Gate, is_loopback, new_token
from steadygan.studio.library import Library
from steadygan.studio.server import Studio


def watch(runs: Path, host: str, port: int, *, read_only: bool) -> None:
    """Serve the page, say where it is, and wait for Ctrl-C."""
    if not host:
        raise SteadyganError("--host is empty", "give an address of this machine, as 127.0.0.1")
    library = Library(runs)
    token = None if read_only else new_token()
    studio = Studio(library, Gate(host, token), (host, port))
    page = f"http://{f'[{host}]' if ':' in host else host}:{studio.server_address[1]}/"
    with studio, contextlib.suppress(KeyboardInterrupt):
        # the folder is looked through while the page is being opened
        threading.Thread(target=library.places, daemon=True).start()
        console.print(f"watching {runs}", markup=False)
        console.print(f"  to look:       {page}", markup=False)
        if token:
            console.print(f"  to take part:  {page}#token={token}", markup=False)
        if not is_loopback(host):
            console.print("  whoever can reach this machine can look; nothing is encrypted", markup=False)
        console.print("Ctrl-C ends it; the runs go on", markup=False)
        studio.serve_forever()
