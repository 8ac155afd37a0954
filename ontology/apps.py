"""Registers the app with Django."""

from django.apps import AppConfig

from common.menu import DATA, Entry


class OntologyConfig(AppConfig):
    """Vocabularies of terms, and annotation with them."""

    name = "ontology"
    menu = (Entry("Vocabularies", "ontology:vocabularies", group=DATA),)

    def ready(self) -> None:
        """Connect our system checks."""
        from ontology import checks

        checks.connect()
