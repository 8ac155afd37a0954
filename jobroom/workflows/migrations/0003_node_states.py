from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("jobroom_workflows", "0002_idle"),
    ]

    operations = [
        migrations.RenameField(model_name="storedworkflow", old_name="letters", new_name="node_states"),
        migrations.AlterField(
            model_name="storedworkflow",
            name="node_states",
            field=models.TextField(blank=True, editable=False, help_text="The state of each node in one character."),
        ),
        migrations.AlterField(
            model_name="storedworkflow",
            name="counts",
            field=models.JSONField(blank=True, default=dict, help_text="How many nodes are in each state."),
        ),
    ]
