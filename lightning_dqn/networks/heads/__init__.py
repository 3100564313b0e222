"""How a network's output stands for action values, and what its error is."""
