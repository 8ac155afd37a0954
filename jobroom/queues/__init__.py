"""Queues and their messages, pauses, limits and locks: what jobs wait for, and what an operator repairs."""
