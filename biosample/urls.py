"""Addresses of the submissions' pages."""

from django.urls import path

from biosample import views

app_name = "biosample"
urlpatterns = [
    path("submissions/", views.submission_list, name="submissions"),
    path("submissions/<int:submission_id>/", views.submission, name="submission"),
]
