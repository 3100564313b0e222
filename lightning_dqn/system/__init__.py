"""Memory, files, start-up: what the operating system has a say in."""
