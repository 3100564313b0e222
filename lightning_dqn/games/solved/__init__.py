"""Small games solved exactly."""
