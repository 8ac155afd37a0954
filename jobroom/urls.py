"""All addresses of Jobroom, for one line in a project: `path("jobs/", include("jobroom.urls"))`, at any prefix."""

from django.urls import include, path

from jobroom.web.error_pages import with_error_pages

app_name = "jobroom"
urlpatterns = [
    # Before the API of jobs, which answers for all other addresses below api/.
    path("", include("jobroom.notifications.urls")),
    path("", include("jobroom.workflows.api")),
    path("", include("jobroom.workers.urls")),
    path("", include("jobroom.schedules.urls")),
    path("", include("jobroom.queues.urls")),
    path("", include("jobroom.audit.urls")),
    path("workflows/", include("jobroom.workflows.urls")),
    path("api/", include("jobroom.jobs.api.urls")),
    path("", include("jobroom.jobs.urls")),
]
with_error_pages(urlpatterns)
