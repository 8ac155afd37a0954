"""Addresses of the schedules' pages and API."""

from django.urls import path

from jobroom.schedules import api, views

app_name = "schedules"
urlpatterns = [
    path("schedules/", views.schedule_list, name="schedules"),
    path("schedules/new/", views.new, name="new"),
    path("schedules/preview/", views.preview, name="preview"),
    path("schedules/<int:schedule_id>/", views.schedule, name="schedule"),
    path("schedules/<int:schedule_id>/edit/", views.edit, name="edit"),
    path("schedules/<int:schedule_id>/pause/", views.pause, name="pause"),
    path("schedules/<int:schedule_id>/resume/", views.resume, name="resume"),
    path("schedules/<int:schedule_id>/run/", views.run, name="run"),
    path("schedules/<int:schedule_id>/skip/", views.skip, name="skip"),
    path("schedules/<int:schedule_id>/delete/", views.delete, name="delete"),
    path("api/schedules/", api.ScheduleList.as_view(), name="api-schedules"),
    path("api/schedules/<int:schedule_id>/", api.ScheduleView.as_view(), name="api-schedule"),
    path("api/schedules/<int:schedule_id>/pause/", api.SchedulePause.as_view(), name="api-pause"),
    path("api/schedules/<int:schedule_id>/resume/", api.ScheduleResume.as_view(), name="api-resume"),
    path("api/schedules/<int:schedule_id>/run/", api.ScheduleRun.as_view(), name="api-run"),
    path("api/schedules/<int:schedule_id>/skip/", api.ScheduleSkip.as_view(), name="api-skip"),
]
