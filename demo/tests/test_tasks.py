"""The samples as a form and a catalogue see them."""

import pytest
from celery import current_app

from jobroom.arguments import schema_of
from jobroom.jobs.forms import launch_form
from jobroom.tasks import BaseTask, NotifyAdminTaskMixin

SAMPLES = {name: task for name, task in current_app.tasks.items() if name.startswith("demo.")}
DANGEROUS = {"demo.fail", "demo.killed", "demo.ignores_time_limit"}


def test_all_samples_are_here():
    wanted = [
        "echo",
        "log",
        "wait",
        "progress",
        "every_field",
        "answer_once",
        "add",
        "mul",
        "xsum",
        "give",
        "count_words",
        "merge_counts",
        "map_reduce",
        "countdown",
    ]
    assert set(SAMPLES) == {f"demo.{name}" for name in wanted} | DANGEROUS


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_a_sample_explains_itself_and_its_arguments(name):
    task = SAMPLES[name]
    assert isinstance(task, BaseTask)
    assert task.description or task.run.__doc__
    assert all(parameter.argument.help for parameter in schema_of(task).parameters)


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_harmless_samples_may_run_twice_and_the_others_notify_the_admins(name):
    dangerous = name in DANGEROUS
    assert bool(SAMPLES[name].acks_late) != dangerous
    assert isinstance(SAMPLES[name], NotifyAdminTaskMixin) == dangerous


def test_samples_called_directly():
    from demo import tasks

    assert tasks.echo("tree") == "tree"
    assert tasks.mul(tasks.add(1, 14), 7) == 105
    assert tasks.xsum([1, 2, 3.5]) == 6.5
    assert tasks.merge_counts([tasks.count_words("to be"), tasks.count_words("Be")]) == {"to": 1, "be": 2}
    assert tasks.wait(0) == 0
    assert tasks.progress(0.0, 3) == 3
    with pytest.raises(ValueError, match="always fails"):
        tasks.fail()


@pytest.mark.django_db
def test_the_sample_of_a_form_has_a_field_of_every_kind():
    schema = schema_of(SAMPLES["demo.every_field"])
    kinds = {parameter.kind for parameter in schema.parameters}
    assert kinds == {
        "text", "integer", "number", "decimal", "boolean", "date", "datetime", "duration", "choice", "list", "json", "uuid",
        "file", "model", "models",
    }  # fmt: skip
    form = launch_form(
        SAMPLES["demo.every_field"], None, data={"word": "Hi", "count": "4", "pause": "5m", "vessel": "cone"}
    )
    assert form.is_valid(), form.errors
    assert form.has_dry_run
    assert "lid" not in form.fields
    given = schema.validate(schema.wire(form.arguments()))
    found = SAMPLES["demo.every_field"].run(**given)
    assert found["pause"] == "timedelta: 0:05:00"
    assert found["flavour"] == "Flavour: Flavour.VANILLA"
    assert "password" not in found
