"""`manage.py jobroom upgrade`."""

from typing import Any

from django.core.management import BaseCommand, CommandParser
from django.db import DEFAULT_DB_ALIAS, connections

from jobroom import upgrade


class Command(BaseCommand):
    """Give the tables of a database from before the package their new names."""

    help = "Rename the tables and rows of a database from before the package; then run migrate."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare which database."""
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, help="alias of the database (default: default)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Rename, and say what was done."""
        made = upgrade.rename(connections[options["database"]])
        for table in made:
            self.stdout.write(f"renamed to {table}")
        self.stdout.write("Done; now run migrate." if made else "Nothing to do: the names are up to date.")
