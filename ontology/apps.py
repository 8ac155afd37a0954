"""Registers the app with Django."""

from django.apps import AppConfig


class OntologyConfig(AppConfig):
    """Vocabularies of terms, and annotation with them."""

    name = "ontology"

    def ready(self) -> None:
        """Connect our system checks."""
        from ontology import checks

        checks.connect()
