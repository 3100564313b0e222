"""Finished and unfinished runs as one page, and the same numbers for programs."""
