"""Addresses of the mails' pages and API."""

from django.urls import path

from jobroom.notifications import alert_api, alert_views, api, views

app_name = "notifications"
urlpatterns = [
    path("mails/", views.mail_list, name="mails"),
    path("mails/<uuid:mail_id>/", views.mail, name="mail"),
    path("mails/<uuid:mail_id>/again/", views.again, name="again"),
    path("mails/<uuid:mail_id>/give-up/", views.give_up, name="give-up"),
    path("alerts/", alert_views.alert_list, name="alerts"),
    path("alerts/<int:alert_id>/", alert_views.alert, name="alert"),
    path("alerts/<int:alert_id>/drop/", alert_views.drop, name="drop-alert"),
    path("alerts/<int:alert_id>/test/", alert_views.try_out, name="try-alert"),
    path("api/alerts/", alert_api.AlertList.as_view(), name="api-alerts"),
    path("api/alerts/<int:alert_id>/", alert_api.AlertView.as_view(), name="api-alert"),
    path("api/alerts/<int:alert_id>/test/", alert_api.AlertTest.as_view(), name="api-try-alert"),
    path("api/mails/", api.MailList.as_view(), name="api-mails"),
    path("api/mails/<uuid:mail_id>/", api.MailView.as_view(), name="api-mail"),
]
