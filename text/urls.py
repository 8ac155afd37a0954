"""Addresses of the pages and the API of the text models."""

from django.urls import path

from text import api, views

app_name = "text"
urlpatterns = [
    path("text/models/", views.model_list, name="models"),
    path("text/models/roll-back/", views.roll_back, name="roll-back"),
    path("text/models/<int:version>/", views.model, name="model"),
    path("text/models/<int:version>/promote/", views.promote, name="promote"),
    path("api/text/models/", api.ModelList.as_view(), name="api-models"),
    path("api/text/models/roll-back/", api.RollBack.as_view(), name="api-roll-back"),
    path("api/text/models/<int:version>/", api.ModelDetail.as_view(), name="api-model"),
    path("api/text/models/<int:version>/promote/", api.Promote.as_view(), name="api-promote"),
]
