"""The form of a task rule, for our page and for the admin: for which task, for whom, with which queues."""

from typing import Any

from django import forms

from jobroom.conf import settings
from jobroom.jobs import catalogue
from jobroom.jobs.models import TaskRule
from jobroom.jobs.policies import RIGHTS
from jobroom.web.versions import FIELD, VersionedForm


class TaskRuleForm(forms.ModelForm):  # type: ignore[type-arg]
    """A rule: for which task, for whom, with which queues."""

    task = forms.ChoiceField(
        help_text="A task that no worker knows any more is marked.",
        error_messages={
            "required": "Choose the task that the rule is for.",
            "unique": "This task has a rule already: change that one.",
        },
    )
    queues = forms.MultipleChoiceField(
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="Queues that people may choose at launch; without any, only the task's own.",
    )

    class Meta:
        model = TaskRule
        fields = ("task", *RIGHTS, "queues")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = [entry.name for entry in catalogue.entries() if entry.tracked]
        self._offer("task", known, [self.instance.task] if self.instance.task else [], "no worker knows it")
        self._offer("queues", list(settings.QUEUES), list(self.instance.queues), "no worker of ours serves it")

    def _offer(self, name: str, known: list[str], kept: list[str], mark: str) -> None:
        """Offer what is known, and what the rule has already even when that is unknown it."""
        field = self.fields.get(name)
        if not isinstance(field, forms.ChoiceField):
            return  # the person may only look
        first = [("", "Choose a task")] if name == "task" else []
        unknown = [(value, f"{value} ({mark})") for value in kept if value not in known]
        field.choices = [*first, *((value, value) for value in known), *unknown]
        field.error_messages["invalid_choice"] = "“%(value)s” is none of the choices: choose one of the list."


class TaskRulePageForm(VersionedForm, TaskRuleForm):
    """The same on our page, with the version of the rule that it shows."""

    class Meta(TaskRuleForm.Meta):
        widgets = dict.fromkeys(RIGHTS, forms.CheckboxSelectMultiple)

    field_order = ("task", *RIGHTS, "queues", FIELD)

    def __init__(self, *args: Any, may_change: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not may_change:
            for field in self.fields.values():
                field.disabled = True
