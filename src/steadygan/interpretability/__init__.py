"""What networks have learned: directions, units, inversion, attribution. Takes tensors and functions, never a run."""
