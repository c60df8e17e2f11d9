"""Pictures and curves of a run, from the files that it left."""
