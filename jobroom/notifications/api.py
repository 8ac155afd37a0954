"""Mails over REST, for staff: which there are, and whether they were sent."""

from uuid import UUID

from django.http import Http404
from django.urls import reverse
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response

from jobroom.jobs.api.base import ApiView
from jobroom.jobs.api.schema import extend_schema
from jobroom.jobs.api.views import person, problems
from jobroom.notifications.filters import MailFilter
from jobroom.notifications.models import Mail
from jobroom.notifications.serializers import MailDetail, MailPage, MailQuery, MailRow


class MailList(ApiView):
    """All mails of the site."""

    permission_classes = (IsAdminUser,)

    @extend_schema(
        operation_id="list_mails", parameters=[MailQuery], responses={200: MailPage, **problems(400, 401, 403)}
    )
    def get(self, request: Request) -> Response:
        """List mails, newest first, a page at a time."""
        given = MailQuery(data=request.query_params)
        given.is_valid(raise_exception=True)
        found = MailFilter(given.validated_data, person(request))
        address = reverse("jobroom:notifications:api-mails") + found.next_link if found.next_link else None
        return Response({"next": address, "results": MailRow(found.rows, many=True).data})


class MailView(ApiView):
    """One mail."""

    permission_classes = (IsAdminUser,)

    @extend_schema(operation_id="show_mail", responses={200: MailDetail, **problems(401, 403, 404)})
    def get(self, request: Request, mail_id: UUID) -> Response:
        """Show a mail with its attempts, without its text."""
        found = Mail.objects.visible_to(person(request)).without_content().filter(pk=mail_id).first()
        if found is None:
            raise Http404("There is no such mail.")
        return Response(MailDetail(found).data)
