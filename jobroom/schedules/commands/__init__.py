"""Commands of the schedules."""
