"""Trained agents as files, and weights from elsewhere."""
