"""Addresses of the vocabularies' pages and API."""

from django.urls import path

from ontology import api, views

app_name = "ontology"
urlpatterns = [
    path("vocabularies/", views.vocabulary_list, name="vocabularies"),
    path("vocabularies/<slug:name>/", views.vocabulary, name="vocabulary"),
    path("vocabularies/<slug:name>/delete/", views.delete, name="delete"),
    path("vocabularies/<slug:name>/terms/<path:term_id>/", views.term, name="term"),
    path("api/vocabularies/", api.VocabularyList.as_view(), name="api-vocabularies"),
    path("api/vocabularies/<slug:name>/", api.VocabularyView.as_view(), name="api-vocabulary"),
    path("api/vocabularies/<slug:name>/terms/", api.TermList.as_view(), name="api-terms"),
    path("api/vocabularies/<slug:name>/terms/<path:term_id>/", api.TermView.as_view(), name="api-term"),
]
