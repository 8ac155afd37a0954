from django.db import migrations, models
from django.db.models import F


def fill(apps, schema_editor):
    """Take the last event of each job of a workflow, which is what was gone by before."""
    jobs = apps.get_model("jobroom_jobs", "Job").objects.using(schema_editor.connection.alias)
    jobs.exclude(workflow_id="").update(state_event=F("last_event"))


class Migration(migrations.Migration):
    dependencies = [
        ("jobroom_jobs", "0015_durations"),
    ]

    operations = [
        migrations.AddField(
            model_name="job",
            name="state_event",
            field=models.BigIntegerField(default=0, editable=False),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
