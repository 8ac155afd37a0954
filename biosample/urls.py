"""Addresses of the submissions' pages."""

from django.urls import path

from biosample import entry_views, views

app_name = "biosample"
urlpatterns = [
    path("submissions/", views.submission_list, name="submissions"),
    path("submissions/new/", entry_views.add, name="new_submission"),
    path("submissions/<int:submission_id>/", views.submission, name="submission"),
    path("submissions/<int:submission_id>/edit/", entry_views.edit, name="edit_submission"),
    path("submissions/<int:submission_id>/submit/", entry_views.submit, name="submit_submission"),
]
