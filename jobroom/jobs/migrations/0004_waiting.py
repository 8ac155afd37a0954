"""An index for the place of a waiting job in its queue."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """Adds it; only waiting jobs are in it."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("jobroom_jobs", "0003_api_tokens")]

    operations: ClassVar[list[migrations.operations.base.Operation]] = [
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("state", "queued")), fields=["queue", "queued_at", "id"], name="job_waiting"
            ),
        ),
    ]
