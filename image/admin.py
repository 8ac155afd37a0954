"""The staff's admin site."""

from typing import Any

from django.contrib.admin import AdminSite, ModelAdmin
from django.contrib.admin.options import TO_FIELD_VAR
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse

from jobroom.web.admin_lookups import CheckedLookupsAdmin
from jobroom.web.versions import VersionedAdmin


class ImageAdminSite(AdminSite):
    """Django's own admin with our title; no form of it overwrites unseen what others saved meanwhile."""

    site_title = "Jobroom"
    site_header = "Jobroom administration"
    index_title = "Administration"

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Return the view as Django guards it; an empty name of a field, at which it would fail, finds nothing."""
        guarded = super().admin_view(view, cacheable)

        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            if request.path != reverse("admin:logout", current_app=self.name):
                self._refuse_others(request)
            if "" in {request.GET.get(TO_FIELD_VAR), request.POST.get(TO_FIELD_VAR)}:
                raise Http404("There is no field without a name.")
            return guarded(request, *args, **kwargs)

        return checked

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Log staff in; those who are logged in and are no staff are not asked for the same password again."""
        if request.method != "POST":
            self._refuse_others(request)
        return super().login(request, extra_context)

    def _refuse_others(self, request: HttpRequest) -> None:
        """Raise PermissionDenied for those who are logged in and may not use the admin."""
        if request.user.is_authenticated and not self.has_permission(request):
            raise PermissionDenied(
                "The administration is for staff of this site, and your account is not marked as such. "
                "With an account of staff, log out and log in with that one."
            )

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Register as Django does, every admin as one that compares versions and checks lookups: also those of other packages."""
        base = admin_class or ModelAdmin
        ours = tuple(one for one in (CheckedLookupsAdmin, VersionedAdmin) if not issubclass(base, one))
        if ours:
            base = type(base.__name__, (*ours, base), {"__module__": base.__module__, "__doc__": base.__doc__})
        super().register(model_or_iterable, base, **options)
