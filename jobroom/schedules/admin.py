"""Schedules in Django's admin: list, run now, enable and disable."""

from collections.abc import Callable
from typing import Any, ClassVar, cast

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import mark_safe
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

from jobroom.jobs.admin_base import job_link
from jobroom.jobs.models import ACTIVE, Job, State
from jobroom.jobs.templatetags.jobroom_jobs import bar
from jobroom.limits import TooMany
from jobroom.schedules import audit, forms, services
from jobroom.schedules.exceptions import NotSent, UnusableSchedule
from jobroom.schedules.querysets import active_jobs, with_everything
from jobroom.schedules.services import coming_runs
from jobroom.users import User

EMPTY = "—"
# Colour never alone: a sign stands before the word.
SIGNS = {
    State.SCHEDULED: "◷",
    State.QUEUED: "◷",
    State.RUNNING: "▶",
    State.RETRYING: "↻",
    State.SUCCEEDED: "✔",
    State.FAILED: "✖",
    State.CANCELLED: "⊘",
    State.SKIPPED: "⇥",
    State.LOST: "?",
}


def _moment(moment: Any) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S %Z}"


def _fraction(row: Any) -> float | None:
    """Return how much of the row's running job is done."""
    return Job(state=State.RUNNING, execution=row.last_execution, progress=row.last_progress or {}).fraction


def _audit(request: HttpRequest, action: str, names: str, outcome: str = "") -> None:
    audit.record(cast("User", request.user), action, names, outcome=outcome)


def _seen(request: HttpRequest) -> HttpResponse:
    """Return to the page that the button was on, with its filters."""
    back = request.META.get("HTTP_REFERER", "")
    if not url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure()):
        back = reverse("admin:django_celery_beat_periodictask_changelist")
    response = HttpResponseRedirect(back)
    response.status_code = 303
    return response


class OriginFilter(admin.SimpleListFilter):
    """Distinguishes the settings' schedules from the admin's own."""

    title = "origin"
    parameter_name = "origin"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices."""
        return [("settings", "from settings"), ("admin", "added here")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows of the chosen origin."""
        if self.value() is None:
            return queryset
        return queryset.filter(settings_schedule__isnull=self.value() == "admin")


class PeriodicTaskAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The schedules."""

    form = forms.PeriodicTaskForm
    # The buttons stand near the name: a narrow window cuts off the right end of the table.
    list_display = ("name", "buttons", "task_known", "runs", "enabled", "next_run", "last_result", "origin")
    list_filter = ("enabled", OriginFilter, "one_off")
    search_fields = ("name", "task", "description")
    ordering = ("name",)
    list_per_page = 50
    actions = ("run_selected", "enable_selected", "disable_selected")
    readonly_fields = ("runs", "coming_runs", "last_run", "total_run_count", "last_result", "origin")
    change_form_template = "admin/django_celery_beat/periodictask/change_form.html"
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("name", "task", "enabled", "description", "origin")}),
        ("Arguments", {"fields": ("args", "kwargs")}),
        ("When", {"fields": ("interval", "crontab", "solar", "clocked", "one_off", "start_time", "expires", "runs")}),
        ("Runs", {"fields": ("coming_runs", "last_run", "total_run_count", "last_result")}),
        (
            "How it is sent",
            {"fields": ("queue", "priority", "expire_seconds", "headers", "exchange", "routing_key"),
             "classes": ("collapse",)},
        ),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the rows with all that their columns show, in one query."""
        return with_everything(super().get_queryset(request))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Return the form, which knows who fills it in."""
        found: Any = super().get_form(request, obj, change, **kwargs)
        found.user = request.user
        return found

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Return the columns; the buttons only for those who may use them."""
        return [name for name in self.list_display if name != "buttons" or self.has_change_permission(request)]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show above the list what waits and runs of it now."""
        context = {"active_jobs": active_jobs(), **(extra_context or {})}
        return super().changelist_view(request, context)

    # Columns -------------------------------------------------------------------------------------------------------

    @admin.display(description="task", ordering="task")
    def task_known(self, row: Any) -> str:
        """Return the task's name, marked when no worker knows it."""
        known = row.task in services.registered_tasks()
        return str(row.task) if known else format_html("{} <strong>✖ not registered</strong>", row.task)

    @admin.display(description="runs")
    def runs(self, row: Any) -> str:
        """Return when it runs, as a sentence."""
        return services.sentence(row) if row.pk else EMPTY

    @admin.display(description="next run")
    def next_run(self, row: Any) -> str:
        """Return the next run, or why there is none."""
        return self._coming(row, 1)

    @admin.display(description="next runs")
    def coming_runs(self, row: Any) -> str:
        """Return the next five runs, or why there are none."""
        if not row.pk:
            return "Shown when it is saved."
        reason = services.refusal_of(row)
        return f"✖ left out: {reason}" if reason else self._coming(row, 5)

    def _coming(self, row: Any, count: int) -> str:
        try:
            runs = coming_runs.runs_of(row, count)
        except UnusableSchedule as error:
            return f"✖ never: {error}"
        notice = getattr(getattr(row, "detail", None), "notice", "")
        lines = [_moment(run.at) + (f" ({run.closed})" if run.closed else "") for run in runs]
        if lines:
            lines += [f"⚠ {notice}"] if notice else []
            return format_html_join(mark_safe("<br>"), "{}", ((line,) for line in lines))
        return "none: it has ended" if row.enabled else "none: disabled"

    @admin.display(description="last run", ordering="last_run_at", empty_value=EMPTY)
    def last_run(self, row: Any) -> str | None:
        """Return when beat sent it last; a change of its timing makes beat forget, the database does not."""
        moment = row.last_run_at or getattr(row, "last_begin", None)
        return _moment(moment) if moment else None

    @admin.display(description="last result", empty_value=EMPTY)
    def last_result(self, row: Any) -> str | None:
        """Return state and time of its last job, linked to the job's page."""
        job = getattr(row, "last_job", None)
        if job is None:
            return None
        state = State(row.last_state)
        link = job_link(job, f"{SIGNS[state]} {state.label}, {_moment(row.last_end or row.last_begin)}")
        # The whole of it is a region of the live page: numbers are pushed into it, and its end replaces it.
        live = format_html(' data-live="job:{}" data-seq="{}"', job, row.last_event) if state in ACTIVE else ""
        progress = format_html(" {}", bar(_fraction(row))) if state == State.RUNNING else ""
        return format_html('<span id="schedule-{}"{}>{}{}</span>', row.pk, live, link, progress)

    @admin.display(description="origin")
    def origin(self, row: Any) -> str:
        """Return whether the settings made it, and what was changed here since."""
        record = getattr(row, "settings_schedule", None)
        if record is None:
            return "added here"
        if record.gone:
            return f"was in settings as “{record.name}”"
        edited = [services.FIELDS[field] for field in services.differing_fields(row, record)]
        name = f" as “{record.name}”" if record.name != row.name else ""
        return f"from settings{name}, edited here: {', '.join(edited)}" if edited else f"from settings{name}"

    @admin.display(description="")
    def buttons(self, row: Any) -> str:
        """Return the row's buttons; they send the list's own form, and with it its CSRF token."""
        toggle = "Disable" if row.enabled else "Enable"
        return format_html(
            '<button type="submit" formaction="{}" class="button" aria-label="Run now: {name}">Run now</button> '
            '<button type="submit" formaction="{}" class="button" aria-label="{toggle} {name}">{toggle}</button>',
            reverse("admin:schedules_run", args=[row.pk]),
            reverse("admin:schedules_toggle", args=[row.pk]),
            name=row.name,
            toggle=toggle,
        )

    # Buttons and actions -------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        """Return the admin's addresses and those of the row's buttons."""
        return [
            path("<path:object_id>/run/", self._button(self._run), name="schedules_run"),
            path("<path:object_id>/toggle/", self._button(self._toggle), name="schedules_toggle"),
            *super().get_urls(),
        ]

    def _button(self, act: Callable[[HttpRequest, Any], None]) -> Callable[..., HttpResponse]:
        """Return the view of a button that does `act` to one row."""

        def view(request: HttpRequest, object_id: str) -> HttpResponse:
            if request.method != "POST":
                return HttpResponseNotAllowed(["POST"])
            row = self.get_object(request, unquote(object_id))
            if row is None:
                raise Http404(f"There is no schedule {object_id}.")
            if not self.has_change_permission(request, row):
                raise PermissionDenied
            act(request, row)
            return _seen(request)

        return self.admin_site.admin_view(view)

    def _run(self, request: HttpRequest, row: Any) -> None:
        try:
            job = services.run_now(row, cast("User", request.user))
        except NotSent as error:
            self.message_user(request, f"“{row.name}” was not run: {error}", messages.ERROR)
            return
        self.log_change(request, row, f"Run now: job {job}")
        self.message_user(request, format_html("“{}” was sent as job {}.", row.name, job_link(job)))

    def _toggle(self, request: HttpRequest, row: Any) -> None:
        services.set_enabled(PeriodicTask.objects.filter(pk=row.pk), enabled=not row.enabled)
        word = "disabled" if row.enabled else "enabled"
        self.log_change(request, row, word.capitalize())
        _audit(request, word, row.name)
        self.message_user(request, f"“{row.name}” is {word}.")

    @admin.action(description="Run selected schedules now", permissions=["change"])
    def run_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Run each of them now."""
        for row in queryset:
            try:
                self._run(request, row)
            except TooMany as error:
                self.message_user(request, f"“{row.name}” and what follows it were not run: {error}", messages.ERROR)
                return

    @admin.action(description="Enable selected schedules", permissions=["change"])
    def enable_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Enable them."""
        _audit(request, "enabled", ", ".join(queryset.values_list("name", flat=True)))
        count = services.set_enabled(queryset, enabled=True)
        self.message_user(request, f"{count} enabled.")

    @admin.action(description="Disable selected schedules", permissions=["change"])
    def disable_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Disable them."""
        _audit(request, "disabled", ", ".join(queryset.values_list("name", flat=True)))
        count = services.set_enabled(queryset, enabled=False)
        self.message_user(request, f"{count} disabled.")

    # Writing -------------------------------------------------------------------------------------------------------

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save what the form changed, and nothing that beat writes at the same time."""
        services.save(obj, form.changed_data, created=not change)
        _audit(request, "changed" if change else "made", obj.name, f"Fields: {', '.join(form.changed_data) or 'none'}.")

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete one, and say so in the audit."""
        super().delete_model(request, obj)
        _audit(request, "deleted", obj.name)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete several, and say so in the audit."""
        names = ", ".join(queryset.values_list("name", flat=True))
        super().delete_queryset(request, queryset)
        _audit(request, "deleted", names)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Protect the settings' schedules: the next start of beat would bring them back."""
        deleted, counts, needed, protected = super().get_deleted_objects(objs, request)
        for row in objs:
            record = getattr(row, "settings_schedule", None)
            if record is not None and not record.gone:
                protected.append(f"“{row.name}” comes from the settings and would come back: disable it instead")
        # What the settings said of a schedule goes with it; no one has, or needs, a permission for that.
        return deleted, counts, needed - {"settings schedule"}, protected


class TimingAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Intervals, crontabs, solar events and clocked times; several schedules may share one."""

    list_display: Any = ("__str__", "used_by")
    list_per_page = 50

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the rows with the number of their schedules."""
        rows: QuerySet[Any] = super().get_queryset(request).annotate(schedules=Count("periodictask"))
        return rows

    @admin.display(description="used by", ordering="schedules")
    def used_by(self, row: Any) -> str:
        """Return how many schedules use it."""
        return "1 schedule" if row.schedules == 1 else f"{row.schedules} schedules"


class CrontabAdmin(TimingAdmin):
    """Crontabs, with their sentence."""

    form = forms.CrontabForm
    list_display = ("__str__", "sentence", "used_by")

    @admin.display(description="runs")
    def sentence(self, row: Any) -> str:
        """Return when it runs, in words."""
        return services.sentence(PeriodicTask(crontab=row))


class IntervalAdmin(TimingAdmin):
    """Intervals."""

    form = forms.IntervalForm


class ClockedAdmin(TimingAdmin):
    """Single moments."""

    form = forms.ClockedForm


class SolarAdmin(TimingAdmin):
    """Sunrises and the like."""

    form = forms.SolarForm


for _model, _admin in (
    (PeriodicTask, PeriodicTaskAdmin),
    (CrontabSchedule, CrontabAdmin),
    (IntervalSchedule, IntervalAdmin),
    (ClockedSchedule, ClockedAdmin),
    (SolarSchedule, SolarAdmin),
):
    # django-celery-beat has registered its own, because it stands before us in INSTALLED_APPS.
    if admin.site.is_registered(_model):
        admin.site.unregister(_model)
    admin.site.register(_model, _admin)
