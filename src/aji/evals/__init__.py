"""Measurements of a checkpoint, a file for each; flat names with their sample size and 95 % interval."""
