"""Hydra's configuration groups; reached as ``pkg://lightning_dqn.conf``."""
