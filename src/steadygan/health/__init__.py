"""Health: reads records, turns controls."""
