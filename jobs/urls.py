"""Addresses of the jobs' pages."""

from django.urls import path

from jobs import files, views

app_name = "jobs"
urlpatterns = [
    path("", views.overview, name="overview"),
    path("jobs/", views.job_list, name="jobs"),
    path("jobs/<str:job_id>/", views.job, name="job"),
    path("files/<uuid:file_id>/", files.download, name="file"),
    path("tasks/", views.task_list, name="tasks"),
]
