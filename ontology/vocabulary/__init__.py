"""Vocabularies as files, and what can be asked of them. Pure computation: no Django, no Celery."""
