"""A run that was made before: found, loaded, evaluated, shown, recorded and published."""
