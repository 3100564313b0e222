"""What an RL engineer looks at: values, exploration, replay and networks, in numbers."""
