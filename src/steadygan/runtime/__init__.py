"""What a run stands on: devices, seeding, storage and the run folder."""
