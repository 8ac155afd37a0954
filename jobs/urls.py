"""Addresses of the jobs' pages."""

from django.urls import path

from jobs import files, views, views_actions, views_bulk, views_launch

app_name = "jobs"
urlpatterns = [
    path("", views.overview, name="overview"),
    path("jobs/", views.job_list, name="jobs"),
    path("jobs/bulk/", views_bulk.on_many, name="bulk"),
    path("jobs/<str:job_id>/", views.job, name="job"),
    path("jobs/<str:job_id>/cancel/", views_actions.cancel, name="cancel"),
    path("jobs/<str:job_id>/retry/", views_actions.retry, name="retry"),
    path("jobs/<str:job_id>/note/", views_actions.note, name="note"),
    path("files/<uuid:file_id>/", files.download, name="file"),
    path("tasks/", views.task_list, name="tasks"),
    path("tasks/<path:name>/presets/<int:preset_id>/drop/", views_launch.drop_preset, name="drop_preset"),
    path("tasks/<path:name>/presets/", views_launch.keep_preset, name="keep_preset"),
    path("tasks/<path:name>/options/<str:field>/", views_launch.options, name="options"),
    path("tasks/<path:name>/", views_launch.launch, name="launch"),
]
