"""The engine: players, moves, the round and the loop; controls, averages and checkpoints around them."""
