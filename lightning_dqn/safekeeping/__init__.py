"""What keeps a run: files written whole and verified, one run to a folder, signals obeyed."""
