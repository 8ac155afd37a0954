"""All addresses: each app keeps its own list."""

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import include, path

from image import env
from jobroom.jobs.views.account import ResetView

EXAMPLES = ("text", "ontology", "biosample", "assets")

urlpatterns = [
    path("admin/", admin.site.urls),
    path("login/", auth.LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", auth.LogoutView.as_view(), name="logout"),
    path(
        "password-reset/",
        ResetView.as_view(extra_email_context={"site_url": env.origin(settings.SITE_URL)}),
        name="password_reset",
    ),
    path("password-reset/sent/", auth.PasswordResetDoneView.as_view(), name="password_reset_done"),
    path("password-reset/<uidb64>/<token>/", auth.PasswordResetConfirmView.as_view(), name="password_reset_confirm"),
    path("password-reset/done/", auth.PasswordResetCompleteView.as_view(), name="password_reset_complete"),
    # Before Jobroom, whose API answers for all other addresses below api/.
    *(path("", include(f"{app}.urls")) for app in EXAMPLES if apps.is_installed(app)),
    path("", include("jobroom.urls")),
]
