"""Addresses of the schedules' pages and API."""

from django.urls import path

from jobroom.schedules import api, api_backfills, api_calendars, api_runs, views

app_name = "schedules"
urlpatterns = [
    path("schedules/", views.schedule_list, name="schedules"),
    path("schedules/new/", views.new, name="new"),
    path("schedules/preview/", views.preview, name="preview"),
    path("schedules/<int:schedule_id>/", views.schedule, name="schedule"),
    path("schedules/<int:schedule_id>/edit/", views.edit, name="edit"),
    path("schedules/<int:schedule_id>/policy/", views.edit_policy, name="policy"),
    path("schedules/<int:schedule_id>/pause/", views.pause, name="pause"),
    path("schedules/<int:schedule_id>/resume/", views.resume, name="resume"),
    path("schedules/<int:schedule_id>/run/", views.run, name="run"),
    path("schedules/<int:schedule_id>/skip/", views.skip, name="skip"),
    path("schedules/<int:schedule_id>/settle/", views.settle, name="settle"),
    path("schedules/<int:schedule_id>/delete/", views.delete, name="delete"),
    path("schedules/<int:schedule_id>/backfill/", views.new_backfill, name="new-backfill"),
    path("schedules/<int:schedule_id>/backfills/<int:backfill_id>/", views.backfill, name="backfill"),
    path("schedules/<int:schedule_id>/backfills/<int:backfill_id>/act/", views.act_on_backfill, name="act-on-backfill"),
    path("api/schedules/<int:schedule_id>/backfills/", api_backfills.BackfillList.as_view(), name="api-backfills"),
    path(
        "api/schedules/<int:schedule_id>/backfills/<int:backfill_id>/",
        api_backfills.BackfillView.as_view(),
        name="api-backfill",
    ),
    path("calendars/", views.calendar_list, name="calendars"),
    path("calendars/new/", views.new_calendar, name="new-calendar"),
    path("calendars/read/", views.read_days, name="read-days"),
    path("calendars/<int:calendar_id>/", views.calendar, name="calendar"),
    path("calendars/<int:calendar_id>/edit/", views.edit_calendar, name="edit-calendar"),
    path("calendars/<int:calendar_id>/delete/", views.delete_calendar, name="delete-calendar"),
    path("api/calendars/", api_calendars.CalendarList.as_view(), name="api-calendars"),
    path("api/calendars/<int:calendar_id>/", api_calendars.CalendarView.as_view(), name="api-calendar"),
    path("api/schedules/", api.ScheduleList.as_view(), name="api-schedules"),
    path("api/schedules/<int:schedule_id>/", api.ScheduleView.as_view(), name="api-schedule"),
    path("api/schedules/<int:schedule_id>/policy/", api_runs.SchedulePolicyView.as_view(), name="api-policy"),
    path("api/schedules/<int:schedule_id>/runs/", api_runs.ScheduleRuns.as_view(), name="api-runs"),
    path("api/schedules/<int:schedule_id>/pause/", api.SchedulePause.as_view(), name="api-pause"),
    path("api/schedules/<int:schedule_id>/resume/", api.ScheduleResume.as_view(), name="api-resume"),
    path("api/schedules/<int:schedule_id>/run/", api.ScheduleRun.as_view(), name="api-run"),
    path("api/schedules/<int:schedule_id>/settle/", api_runs.ScheduleSettle.as_view(), name="api-settle"),
    path("api/schedules/<int:schedule_id>/skip/", api.ScheduleSkip.as_view(), name="api-skip"),
]
