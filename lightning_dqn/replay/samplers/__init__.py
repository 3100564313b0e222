"""Which transitions of the ring are learned from: one file per choice."""
