"""All addresses: each app keeps its own list."""

from django.conf import settings
from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("login/", auth.LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", auth.LogoutView.as_view(), name="logout"),
    path(
        "password-reset/",
        auth.PasswordResetView.as_view(extra_email_context={"site_url": settings.SITE_URL}),
        name="password_reset",
    ),
    path("password-reset/sent/", auth.PasswordResetDoneView.as_view(), name="password_reset_done"),
    path("password-reset/<uidb64>/<token>/", auth.PasswordResetConfirmView.as_view(), name="password_reset_confirm"),
    path("password-reset/done/", auth.PasswordResetCompleteView.as_view(), name="password_reset_complete"),
    path("", include("text.urls")),
    path("", include("ontology.urls")),  # like assets: before the jobs' API
    path("", include("biosample.urls")),
    path("", include("assets.urls")),  # before the jobs' API, which answers for all other addresses below api/
    path("", include("notifications.urls")),  # the same
    path("", include("workflows.api")),
    path("", include("workers.urls")),
    path("workflows/", include("workflows.urls")),
    path("api/", include("jobs.api.urls")),
    path("", include("jobs.urls")),
]
