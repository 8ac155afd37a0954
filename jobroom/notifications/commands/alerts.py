"""`manage.py alerts`: the rules of a person, made, tried and dropped."""

from typing import Any

from django.core.management import BaseCommand, CommandParser

from jobroom.arguments import WrongArguments
from jobroom.control_characters import escaped
from jobroom.jobs import terminal
from jobroom.jobs.exceptions import NotAllowed
from jobroom.notifications import alert_conditions, alerts
from jobroom.notifications.alert_models import AlertRule, Way, What
from jobroom.notifications.exceptions import NotNow
from jobroom.users import User

_GIVEN = ("of", "threshold", "way", "address", "team", "quiet_from", "quiet_until")


class Command(BaseCommand):
    """List, add, show, test or drop rules of alerts; each is the rule of a person, who is named."""

    help = "List the alert rules of a person; add, show, test or drop one."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the parts."""
        parts = parser.add_subparsers(dest="part", required=True)
        _part(parts, "list", "list the rules")
        added = _part(parts, "add", "make a rule")
        added.add_argument("what", choices=What.values)
        added.add_argument("of", nargs="?", default="", help="task, cause, queue, worker or schedule")
        added.add_argument("--threshold", type=int, default=0, help="jobs for depth, seconds for age")
        added.add_argument("--way", choices=Way.values, default=Way.MAIL.value)
        for name in ("address", "team", "quiet-from", "quiet-until"):
            added.add_argument(f"--{name}", default="")
        for name, text in (("show", "show a rule, and what it would have reported in the last week"),
                           ("test", "have a rule send a test"), ("drop", "delete a rule")):  # fmt: skip
            _part(parts, name, text).add_argument("rule", type=int, help="its number")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do the part; exit with 1 for what cannot be done, and with 2 for what makes no sense."""
        by = terminal.person(options["user"])
        if by is None:
            terminal.refuse("Name the person whose rules they are: --as USER.")
        try:
            self._do(by, options)
        except (NotAllowed, NotNow) as error:
            terminal.refuse(str(error), 1)
        except WrongArguments as wrong:
            terminal.refuse(" ".join(f"{name}: {' '.join(texts)}" for name, texts in wrong.errors.items()))

    def _do(self, by: User, options: dict[str, Any]) -> None:
        rules = AlertRule.objects.visible_to(by).select_related("owner").order_by("pk")
        if options["part"] == "list":
            for rule in rules:
                self.stdout.write(escaped(f"{rule.pk:>6}  {rule.way:<8} {rule}"))
            if not rules:
                self.stdout.write("No rule.")
        elif options["part"] == "add":
            rule, secret = alerts.add(given={"what": options["what"], **{n: options[n] for n in _GIVEN}}, by=by)
            self.stdout.write(f"Made rule {rule.pk}.{f' Its webhooks are signed with {secret}' if secret else ''}")
        else:
            rule = rules.filter(pk=options["rule"]).first() or terminal.refuse(f"There is no rule {options['rule']}.")
            self._about(rule, by, options["part"])

    def _about(self, rule: AlertRule, by: User, part: str) -> None:
        if part == "test":
            self.stdout.write(f"On its way as {alerts.try_out(rule=rule, by=by).pk}.")
        elif part == "drop":
            alerts.drop(rule=rule, by=by)
            self.stdout.write("Dropped.")
        else:
            self._show(rule)

    def _show(self, rule: AlertRule) -> None:
        self.stdout.write(escaped(f"{rule.pk}  {rule.way}  {rule}"))
        for state in rule.states.order_by("-since", "-pk"):
            self.stdout.write(escaped(f"  holds: {state.sentence}"))
        for one in rule.deliveries.order_by("-created_at", "-pk")[:10]:
            self.stdout.write(
                escaped(f"  {one.state}: {len(one.changes)} changes {one.created_at:%Y-%m-%d %H:%M} {one.error}")
            )
        for past in alert_conditions.last_week(rule) or ():
            self.stdout.write(escaped(f"  last week: {past['at']:%Y-%m-%d %H:%M} {past['change']}: {past['sentence']}"))


def _part(parts: Any, name: str, text: str) -> CommandParser:
    parser: CommandParser = parts.add_parser(name, help=text, description=text)
    parser.add_argument("--as", dest="user", metavar="USER", help="the person whose rules they are")
    return parser
