"""A local Raze."""
