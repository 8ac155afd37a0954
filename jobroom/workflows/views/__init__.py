"""The workflow pages: the list, one workflow with its tabs, and the actions."""
