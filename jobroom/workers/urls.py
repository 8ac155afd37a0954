"""Addresses of the probes and of the workers' page."""

from django.urls import path

from jobroom.workers import dead_letter_api, dead_letter_views, views
from jobroom.workers.api import Control, Doctor, Stack, WorkerList

app_name = "workers"
urlpatterns = [
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("health/", views.health_page, name="health"),
    path("health/line/", views.health_line, name="health-line"),
    path("doctor/", views.doctor_page, name="doctor"),
    path("api/doctor/", Doctor.as_view(), name="api-doctor"),
    path("workers/", views.workers, name="workers"),
    path("workers/control/", views.control, name="control"),
    path("workers/stack/<str:job_id>/", views.stack, name="stack"),
    path("api/workers/control/", Control.as_view(), name="api-control"),
    path("api/workers/stack/<str:job_id>/", Stack.as_view(), name="api-stack"),
    path("api/workers/", WorkerList.as_view(), name="api-workers"),
    path("dead-letters/", dead_letter_views.dead_letter_list, name="dead-letters"),
    path("dead-letters/requeue/", dead_letter_views.requeue, name="requeue-dead-letters"),
    path("dead-letters/delete/", dead_letter_views.delete, name="delete-dead-letters"),
    path("api/dead-letters/", dead_letter_api.DeadLetterList.as_view(), name="api-dead-letters"),
    path("api/dead-letters/<int:dead_letter_id>/", dead_letter_api.DeadLetterView.as_view(), name="api-dead-letter"),
    path(
        "api/dead-letters/<int:dead_letter_id>/requeue/",
        dead_letter_api.RequeueDeadLetter.as_view(),
        name="api-requeue-dead-letter",
    ),
]
