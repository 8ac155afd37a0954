"""Addresses of the API."""

from django.urls import path, re_path

from jobroom.jobs.api import problems, views
from jobroom.jobs.api.deadlines import DeadlineList, DeadlineView
from jobroom.jobs.api.failures import FailureAct, FailureList, FailureView
from jobroom.jobs.api.jobs import JobCancel, JobEvents, JobList, JobRetry, JobView
from jobroom.jobs.api.times import Times
from jobroom.jobs.authentication import RefreshTokens

app_name = "api"
urlpatterns = [
    path("schema/", views.Schema.as_view(), name="schema"),
    path("token/", views.TokenObtain.as_view(), name="token"),
    path("token/refresh/", views.TokenRefresh.as_view(serializer_class=RefreshTokens), name="token-refresh"),
    path("tokens/", views.TokenList.as_view(), name="tokens"),
    path("tokens/<int:token_id>/", views.TokenView.as_view(), name="api-token"),
    path("tasks/", views.TaskList.as_view(), name="tasks"),
    path("tasks/<path:name>/", views.TaskView.as_view(), name="task"),
    path("jobs/", JobList.as_view(), name="jobs"),
    path("jobs/<str:job_id>/", JobView.as_view(), name="job"),
    path("jobs/<str:job_id>/events/", JobEvents.as_view(), name="job-events"),
    path("jobs/<str:job_id>/cancel/", JobCancel.as_view(), name="job-cancel"),
    path("jobs/<str:job_id>/retry/", JobRetry.as_view(), name="job-retry"),
    path("failures/", FailureList.as_view(), name="failures"),
    path("failures/<str:group_id>/", FailureView.as_view(), name="failure"),
    path("failures/<str:group_id>/act/", FailureAct.as_view(), name="failure-act"),
    path("deadlines/", DeadlineList.as_view(), name="deadlines"),
    path("deadlines/<int:expectation_id>/", DeadlineView.as_view(), name="deadline"),
    path("times/", Times.as_view(), name="times"),
    path("files/", views.FileList.as_view(), name="files"),
    path("files/<uuid:file_id>/", views.FileView.as_view(), name="file"),
    re_path(r"^[\s\S]*$", problems.not_found),  # also addresses with a line break
]
