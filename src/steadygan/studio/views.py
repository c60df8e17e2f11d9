"""The views of runs, shared by all open pages."""

from __future__ import annotations

import threading

from steadygan.studio.library import Library, Place
from steadygan.studio.run_view import RunView

KEPT = 500
"""Views that are kept; those that were asked for least lately go first."""


class Views:
    """Views by the run's name, made when they are first asked for."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self._lock = threading.Lock()
        self._views: dict[str, RunView] = {}

    def of(self, name: str) -> RunView:
        """The view of a run. Raises SteadyganError where there is no such run."""
        return self._kept(name, RunView(name, self.library.find(name)))

    def at(self, place: Place) -> RunView:
        """The same for a run that was just listed."""
        return self._kept(place.name, RunView(place.name, place.path))

    def _kept(self, name: str, new: RunView) -> RunView:
        with self._lock:
            found = self._views.pop(name, new)
            self._views[name] = found
            while len(self._views) > KEPT:
                del self._views[next(iter(self._views))]
            return found
