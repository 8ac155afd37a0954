"""`manage.py load_vocabulary NAME FILE`: load an ontology as a vocabulary."""

import sys
from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandParser

from jobroom.exceptions import RedisUnavailable
from jobroom.jobs import files, terminal
from jobroom.jobs.exceptions import TooLarge
from jobroom.jobs.follower import Follower
from jobroom.jobs.launches import launch
from jobroom.jobs.models import Source, State
from ontology import services
from ontology.exceptions import Refused, VocabularyFailed
from ontology.policies import LOAD
from ontology.vocabulary import formats


class Command(BaseCommand):
    """Load a vocabulary."""

    help = (
        "Load an OBO or OWL (RDF/XML) file as a vocabulary, by a job that is followed to its end. "
        "Exit codes: 0 loaded, 1 failed, 2 usage, 3 cancelled or lost."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare name and file, and where the work is done."""
        parser.add_argument("name", help="an existing vocabulary gets a new version")
        parser.add_argument("file", type=Path, help="OBO, or OWL in RDF/XML")
        parser.add_argument(
            "--here", action="store_true", help="do the work in this process: needs no worker, and leaves no job behind"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, then load."""
        path: Path = options["file"]
        try:
            services.check_name(options["name"])
            services.check_size(path.stat().st_size)
            with path.open("rb") as content:
                formats.check(content, path.name)
        except (Refused, formats.VocabularyProblem) as refused:
            terminal.refuse(str(refused))
        except OSError as error:
            terminal.refuse(f"{path} cannot be read: {error.strerror}.")
        if options["here"]:
            self._here(options["name"], path)
        else:
            self._by_job(options["name"], path)

    def _here(self, name: str, path: Path) -> None:
        try:
            loaded = services.load(name=name, source=path.resolve(), by=None)
        except VocabularyFailed as error:
            terminal.refuse(str(error), 1)
        self.stdout.write(f"{loaded.name} is loaded: version {loaded.version}, {loaded.terms:,} terms.")

    def _by_job(self, name: str, path: Path) -> None:
        try:
            stored = files.store_path(path, None)
        except TooLarge as error:
            terminal.refuse(str(error))
        arguments = {"name": name, "file": str(stored.pk)}
        job = launch(task=LOAD, arguments=arguments, by=None, source=Source.COMMAND)
        try:
            ended = Follower(sys.stdout).follow(job)
        except KeyboardInterrupt:
            terminal.refuse(f"Not followed any more; the job goes on. `manage.py cancel {job.pk}` ends it.", 130)
        except RedisUnavailable as error:
            terminal.refuse(f"The job cannot be followed: {error}", 1)
        sys.exit(terminal.EXIT[State(ended.state)])
