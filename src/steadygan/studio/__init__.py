"""The live page: reads run folders, never the live game, and passes on what people ask of a run."""
