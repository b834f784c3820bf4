"""Adapters: venue words become Foxtrot words here and nowhere else."""
