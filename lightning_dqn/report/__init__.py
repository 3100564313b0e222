"""Finished and unfinished runs as one page, and the same numbers for programs."""

from lightning_dqn.former_names import former_attributes

__getattr__ = former_attributes(__name__)
