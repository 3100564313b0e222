"""A run's dashboard in the terminal: what is known, how it is drawn, keys and screen."""
