"""The doctor: rules that hold what a run tells of itself against what is healthy."""
