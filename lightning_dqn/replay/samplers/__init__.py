"""Which transitions of the ring are learned from, each choice a file."""
