"""Acting in environments: experience to learn from, and evaluation."""
