"""What a run tells: rows of metrics, statistics, and where they go."""
