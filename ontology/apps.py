"""Registers the app with Django."""

from django.apps import AppConfig

from jobroom.ui.menu import DATA, Entry


class OntologyConfig(AppConfig):
    """Vocabularies of terms, and annotation with them."""

    name = "ontology"
    default_auto_field = "django.db.models.BigAutoField"
    menu = (Entry("Vocabularies", "ontology:vocabularies", group=DATA),)

    def ready(self) -> None:
        """Connect our system checks."""
        from ontology import checks

        checks.connect()
