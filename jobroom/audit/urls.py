"""Addresses of the audit."""

from django.urls import path

from jobroom.audit import api, views

app_name = "audit"
urlpatterns = [
    path("audit/", views.acts, name="acts"),
    path("audit/export.csv", views.export, {"form": "csv"}, name="export-csv"),
    path("audit/export.json", views.export, {"form": "json"}, name="export-json"),
    path("api/audit/", api.ActList.as_view(), name="api-acts"),
]
