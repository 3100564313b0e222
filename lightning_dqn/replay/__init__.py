"""What was experienced, and what of it is learned from."""

from lightning_dqn.former_names import former_attributes

__getattr__ = former_attributes(__name__)
