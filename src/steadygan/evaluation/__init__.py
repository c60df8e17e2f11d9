"""Measures of samples against real data: functions of tensors, with no knowledge of the game."""
