"""Addresses of the workers' pages."""

from django.urls import URLPattern

app_name = "workers"
urlpatterns: list[URLPattern] = []
