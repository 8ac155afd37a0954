"""Addresses of the mails' pages and API."""

from django.urls import path

from jobroom.notifications import api, views

app_name = "notifications"
urlpatterns = [
    path("mails/", views.mail_list, name="mails"),
    path("mails/<uuid:mail_id>/", views.mail, name="mail"),
    path("mails/<uuid:mail_id>/again/", views.again, name="again"),
    path("mails/<uuid:mail_id>/give-up/", views.give_up, name="give-up"),
    path("api/mails/", api.MailList.as_view(), name="api-mails"),
    path("api/mails/<uuid:mail_id>/", api.MailView.as_view(), name="api-mail"),
]
