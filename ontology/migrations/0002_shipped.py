"""Announce the vocabularies that come with the project; the first worker loads them."""

from django.db import migrations

SHIPPED = ("breed", "organism_part", "species")


def announce(apps, schema_editor):
    vocabularies = apps.get_model("ontology", "Vocabulary")
    for name in SHIPPED:
        vocabularies.objects.get_or_create(name=name, defaults={"shipped": True})


class Migration(migrations.Migration):
    dependencies = [("ontology", "0001_initial")]

    operations = [migrations.RunPython(announce, migrations.RunPython.noop)]
