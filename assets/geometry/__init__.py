"""What can be done to a triangle mesh. Pure computation: no Django, no Celery, so that a bare child process can run it."""
