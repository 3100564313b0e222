"""A person plays a trained agent, in the terminal or in a page."""
