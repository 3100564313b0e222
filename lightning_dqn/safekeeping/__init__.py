"""Runs that survive: signals, checkpoint files, locked folders."""
