"""The engine: what a finished node sets off, in one step in Redis, in the worker that finished it."""
