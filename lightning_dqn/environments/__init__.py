"""What is learned in: made from an id, described, and vectorised."""

from lightning_dqn.former_names import former_attributes

__getattr__ = former_attributes(__name__)
