"""The session: the one place where names become objects and a run is wired, planned and conducted."""
