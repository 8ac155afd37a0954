"""Hundreds of tasks that behave as badly as a grammar can make them, beside as many good ones, in a real room."""
