"""Addresses of the jobs' pages."""

from django.urls import path

from jobs import files
from jobs.views import actions, answers, bulk, launch, pages

app_name = "jobs"
urlpatterns = [
    path("", pages.overview, name="overview"),
    path("jobs/", pages.job_list, name="jobs"),
    path("jobs/bulk/", bulk.on_many, name="bulk"),
    path("jobs/<str:job_id>/", pages.job, name="job"),
    path("jobs/<str:job_id>/cancel/", actions.cancel, name="cancel"),
    path("jobs/<str:job_id>/retry/", actions.retry, name="retry"),
    path("jobs/<str:job_id>/note/", actions.note, name="note"),
    path("answers/", answers.answers, name="answers"),
    path("answers/purge/", answers.purge, name="purge_answers"),
    path("files/<uuid:file_id>/", files.download, name="file"),
    path("tasks/", pages.task_list, name="tasks"),
    path("tasks/<path:name>/presets/<int:preset_id>/drop/", launch.drop_preset, name="drop_preset"),
    path("tasks/<path:name>/presets/", launch.keep_preset, name="keep_preset"),
    path("tasks/<path:name>/options/<str:field>/", launch.options, name="options"),
    path("tasks/<path:name>/", launch.launch, name="launch"),
]
