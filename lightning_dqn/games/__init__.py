"""Two-player board games, stepped by thousands at once."""
