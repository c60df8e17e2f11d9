"""Games: one file a family, each nothing but players and moves."""
