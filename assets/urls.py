"""Addresses of the assets' pages and API."""

from django.urls import path

from assets import api, views

app_name = "assets"
urlpatterns = [
    path("assets/", views.asset_list, name="assets"),
    path("assets/<int:asset_id>/", views.asset, name="asset"),
    path("assets/<int:asset_id>/delete/", views.delete, name="delete"),
    path("api/assets/", api.AssetList.as_view(), name="api-assets"),
    path("api/assets/<int:pk>/", api.AssetDetail.as_view(), name="api-asset"),
]
