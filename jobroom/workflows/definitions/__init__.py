"""Definitions: workflows that are described in a file or in Python, and launched by name with a payload."""
