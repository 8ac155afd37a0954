"""All addresses: each app keeps its own list."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("", include("text.urls")),
    path("", include("assets.urls")),  # before the jobs' API, which answers for all other addresses below api/
    path("api/", include("jobs.api.urls")),
    path("", include("workers.urls")),
    path("", include("jobs.urls")),
]
