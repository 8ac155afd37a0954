"""The engine: finds what a finished node starts, in one step in Redis, in the worker that finished it."""
