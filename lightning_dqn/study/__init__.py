"""Several seeds of one configuration, and what they come to."""

from lightning_dqn.former_names import former_attributes

__getattr__ = former_attributes(__name__)
