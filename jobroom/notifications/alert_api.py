"""Alerts over REST: one's own rules and those of one's teams."""

from typing import Any

from django.http import Http404
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from jobroom.jobs.api.base import ApiView
from jobroom.jobs.api.schema import extend_schema
from jobroom.jobs.api.views import person, problems
from jobroom.jobs.exceptions import NotNow
from jobroom.notifications import alert_conditions, alerts, exceptions
from jobroom.notifications.alert_models import AlertDelivery, AlertRule, Way, What

# Notifications of a rule that are listed.
SHOWN = 50


class AlertRow(serializers.ModelSerializer[AlertRule]):
    """One rule, without its address and secret."""

    owner = serializers.CharField(source="owner.get_username", read_only=True)
    team = serializers.CharField(source="team.name", default=None, read_only=True, allow_null=True)
    what = serializers.ChoiceField(choices=What.choices)
    way = serializers.ChoiceField(choices=Way.choices)

    class Meta:
        model = AlertRule
        fields: tuple[str, ...] = (
            *("id", "owner", "team", "what", "of", "threshold", "way", "quiet_from", "quiet_until", "created_at"),
            "notified_at",
        )
        read_only_fields: tuple[str, ...] = fields


class AlertDeliveryRow(serializers.ModelSerializer[AlertDelivery]):
    """One notification, and what became of it."""

    class Meta:
        model = AlertDelivery
        fields = ("id", "state", "changes", "is_test", "attempts", "error", "created_at", "next_try", "ended_at")
        read_only_fields: tuple[str, ...] = fields


class AlertDetail(AlertRow):
    """A rule with what holds, what it has sent, and what it would have reported in the last week."""

    holding = serializers.SerializerMethodField(help_text="What it has reported and is not over.")
    deliveries = serializers.SerializerMethodField()
    last_week = serializers.SerializerMethodField(help_text="Of rules on failures; null for others.")

    class Meta(AlertRow.Meta):
        fields = (*AlertRow.Meta.fields, "holding", "deliveries", "last_week")
        read_only_fields = fields

    def get_holding(self, rule: AlertRule) -> list[str]:
        """Return the sentences."""
        return [state.sentence for state in rule.states.order_by("-since", "-pk")[:SHOWN]]

    def get_deliveries(self, rule: AlertRule) -> list[dict[str, Any]]:
        """Return the newest notifications."""
        return list(AlertDeliveryRow(rule.deliveries.order_by("-created_at", "-pk")[:SHOWN], many=True).data)

    def get_last_week(self, rule: AlertRule) -> list[dict[str, Any]] | None:
        """Return what it would have reported."""
        return alert_conditions.last_week(rule)


class NewAlert(serializers.Serializer[Any]):
    """A rule to make."""

    what = serializers.ChoiceField(choices=What.choices)
    of = serializers.CharField(required=False, allow_blank=True, max_length=255)
    threshold = serializers.IntegerField(required=False, min_value=0, help_text="Jobs for depth, seconds for age.")
    way = serializers.ChoiceField(choices=Way.choices, required=False)
    address = serializers.CharField(required=False, allow_blank=True, max_length=2000, help_text="Of webhook or chat.")
    team = serializers.CharField(required=False, allow_blank=True, max_length=150)
    quiet_from = serializers.CharField(required=False, allow_blank=True, max_length=8, help_text="Such as 22:00.")
    quiet_until = serializers.CharField(required=False, allow_blank=True, max_length=8)


class MadeAlert(AlertRow):
    """A rule that was made, with the secret that signs its webhooks, which is shown this once."""

    secret = serializers.CharField(read_only=True)

    class Meta(AlertRow.Meta):
        fields = (*AlertRow.Meta.fields, "secret")
        read_only_fields = fields

    def to_representation(self, instance: AlertRule) -> dict[str, Any]:
        """Return the rule with the secret in the clear."""
        return {**super().to_representation(instance), "secret": self.context["secret"]}


def _found(request: Request, alert_id: int) -> AlertRule:
    rule = AlertRule.objects.visible_to(person(request)).select_related("owner", "team").filter(pk=alert_id).first()
    if rule is None:
        raise Http404("There is no such rule.")
    return rule


class AlertList(ApiView):
    """One's rules, and those of one's teams."""

    @extend_schema(operation_id="list_alerts", responses={200: AlertRow(many=True), **problems(401)})
    def get(self, request: Request) -> Response:
        """List the rules, the oldest first; there are few."""
        rules = AlertRule.objects.visible_to(person(request)).select_related("owner", "team").order_by("pk")
        return Response(AlertRow(rules, many=True).data)

    @extend_schema(operation_id="add_alert", request=NewAlert, responses={201: MadeAlert, **problems(400, 401, 403)})
    def post(self, request: Request) -> Response:
        """Make a rule of one's own."""
        given = NewAlert(data=request.data)
        given.is_valid(raise_exception=True)
        rule, secret = alerts.add(given=given.validated_data, by=person(request))
        return Response(MadeAlert(rule, context={"secret": secret}).data, status=status.HTTP_201_CREATED)


class AlertView(ApiView):
    """One rule."""

    @extend_schema(operation_id="show_alert", responses={200: AlertDetail, **problems(401, 404)})
    def get(self, request: Request, alert_id: int) -> Response:
        """Show a rule with its notifications."""
        return Response(AlertDetail(_found(request, alert_id)).data)

    @extend_schema(operation_id="drop_alert", responses={204: None, **problems(401, 403, 404)})
    def delete(self, request: Request, alert_id: int) -> Response:
        """Delete one's own rule."""
        alerts.drop(rule=_found(request, alert_id), by=person(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class AlertTest(ApiView):
    """A test of one rule."""

    @extend_schema(
        operation_id="test_alert", request=None, responses={202: AlertDeliveryRow, **problems(401, 403, 404, 409)}
    )
    def post(self, request: Request, alert_id: int) -> Response:
        """Have one's own rule send a test; the rule says what becomes of it."""
        try:
            sent = alerts.try_out(rule=_found(request, alert_id), by=person(request))
        except exceptions.NotNow as reason:
            raise NotNow(str(reason)) from reason
        return Response(AlertDeliveryRow(sent).data, status=status.HTTP_202_ACCEPTED)
