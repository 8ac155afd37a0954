"""Addresses of the workflows' pages."""

from django.urls import path

from jobroom.workflows.views import actions, definitions, events, pages

app_name = "workflows"
urlpatterns = [
    path("", pages.workflow_list, name="workflows"),
    path("decisions/", pages.decisions, name="decisions"),
    path("definitions/", definitions.definition_list, name="definitions"),
    path("definitions/<str:name>/", definitions.definition, name="definition"),
    path("events/<str:token>/", events.by_link, name="event"),
    path("<str:workflow_id>/", pages.workflow, name="workflow"),
    path("<str:workflow_id>/states/", pages.states, name="states"),
    path("<str:workflow_id>/pause/", actions.pause, name="pause"),
    path("<str:workflow_id>/unpause/", actions.unpause, name="unpause"),
    path("<str:workflow_id>/cancel/", actions.cancel, name="cancel"),
    path("<str:workflow_id>/resume/", actions.resume, name="resume"),
    path("<str:workflow_id>/again/", actions.run_again, name="again"),
    path("<str:workflow_id>/decide/", actions.decide, name="decide"),
    path("<str:workflow_id>/deliver/", events.deliver, name="deliver"),
    path("<str:workflow_id>/link/", events.make_link, name="link"),
]
