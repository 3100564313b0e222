"""Who a learner may play against."""

from lightning_dqn.former_names import former_attributes

__getattr__ = former_attributes(__name__)
