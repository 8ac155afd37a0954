"""Django's own tasks (`@task`) as tasks of Jobroom; `jobroom.backend` is what a project names in `TASKS`."""
