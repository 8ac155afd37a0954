"""Workflows: any graph of tasks, advanced by the workers that finish its nodes, and finished whatever dies."""
