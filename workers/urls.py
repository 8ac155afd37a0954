"""Addresses of the probes and of the workers' page."""

from django.urls import path

from workers import views
from workers.api import WorkerList

app_name = "workers"
urlpatterns = [
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("workers/", views.workers, name="workers"),
    path("api/workers/", WorkerList.as_view(), name="api-workers"),
]
