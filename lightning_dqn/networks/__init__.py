"""Q-networks: built from layers, changed in place, described by plain values."""

from lightning_dqn.former_names import former_attributes

__getattr__ = former_attributes(__name__)
