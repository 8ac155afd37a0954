"""Workflows: graphs of tasks, advanced by the workers that finish their nodes, and finished although any process may die."""
