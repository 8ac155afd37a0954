"""Repairs workflows: compares the database, Redis, the broker and Celery's results."""
