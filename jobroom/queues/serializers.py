"""REST serializers of queues, pauses and locks."""

from rest_framework import serializers

from jobroom.queues.queue_rows import STATES


class PauseData(serializers.Serializer[object]):
    """A queue or a task that is paused."""

    kind = serializers.ChoiceField(["queue", "task"])
    name = serializers.CharField()
    by = serializers.CharField()
    reason = serializers.CharField(allow_blank=True)
    moment = serializers.DateTimeField(help_text="Since when.")


class QueueData(serializers.Serializer[object]):
    """One queue."""

    name = serializers.CharField()
    state = serializers.ChoiceField(list(STATES))
    depth = serializers.IntegerField(allow_null=True, help_text="Messages that wait.")
    held = serializers.DictField(
        child=serializers.IntegerField(), help_text="Jobs that wait beside the broker: limit, turn, batch, debounce."
    )
    oldest = serializers.DateTimeField(allow_null=True, help_text="Since when the one that is taken next waits.")
    workers = serializers.ListField(child=serializers.CharField())
    processes = serializers.IntegerField(help_text="Of living workers that take its messages now.")
    busy = serializers.IntegerField(help_text="Of these processes, that run a job.")
    into = serializers.FloatField(allow_null=True, help_text="Messages a minute that came in, over the last minutes.")
    out = serializers.FloatField(allow_null=True, help_text="Messages a minute that workers took.")
    drain = serializers.FloatField(allow_null=True, help_text="Seconds until it should be empty.")
    paused = PauseData(allow_null=True)
    resources = serializers.ListField(child=serializers.CharField(), help_text="That its workers wait for.")


class MessageData(serializers.Serializer[object]):
    """One message of a queue, without secrets."""

    position = serializers.IntegerField(help_text="0 is taken next.")
    digest = serializers.CharField(help_text="Names the message when something is done with it.")
    size = serializers.IntegerField(help_text="Bytes.")
    job = serializers.CharField(allow_blank=True)
    task = serializers.CharField(allow_blank=True)
    args = serializers.JSONField()
    kwargs = serializers.JSONField()
    retries = serializers.IntegerField()
    eta = serializers.DateTimeField(allow_null=True)
    expires = serializers.DateTimeField(allow_null=True)
    origin = serializers.CharField(allow_blank=True, help_text="The process that sent it.")
    priority = serializers.IntegerField(allow_null=True)
    parent_id = serializers.CharField(allow_blank=True)
    root_id = serializers.CharField(allow_blank=True)
    group = serializers.CharField(allow_blank=True)
    follows = serializers.ListField(child=serializers.CharField(), help_text="What is sent when it ends.")
    headers = serializers.JSONField()
    redelivered = serializers.BooleanField()
    problem = serializers.CharField(allow_blank=True, help_text="Why it cannot be read.")


class PageQuery(serializers.Serializer[object]):
    """Which messages are asked for."""

    start = serializers.IntegerField(min_value=0, max_value=10**9, default=0, help_text="Position of the first one.")


class Done(serializers.Serializer[object]):
    """What happened."""

    detail = serializers.CharField()


class ActOnMessage(serializers.Serializer[object]):
    """What is done with one message."""

    action = serializers.ChoiceField(["delete", "move", "front", "back"])
    position = serializers.IntegerField(min_value=0)
    digest = serializers.CharField(max_length=64)
    target = serializers.CharField(required=False, default="", max_length=255)
    reason = serializers.CharField(required=False, default="", max_length=500)


class PurgeRequest(serializers.Serializer[object]):
    """A purge; without `counts` it only says how many there are."""

    counts = serializers.ListField(
        child=serializers.IntegerField(min_value=0),
        required=False,
        max_length=10,
        help_text="What a request without it has answered: so many are removed at most, the oldest first.",
    )
    reason = serializers.CharField(required=False, default="", max_length=500)


class MoveRequest(PurgeRequest):
    """A move to another queue."""

    target = serializers.CharField(max_length=255)


class Preview(serializers.Serializer[object]):
    """How many messages would be taken."""

    counts = serializers.ListField(child=serializers.IntegerField())
    number = serializers.IntegerField()


class PauseRequest(serializers.Serializer[object]):
    """What is to be paused, and why."""

    kind = serializers.ChoiceField(["queue", "task"])
    name = serializers.CharField(max_length=255)
    reason = serializers.CharField(max_length=500)


class PauseName(serializers.Serializer[object]):
    """What is to be resumed."""

    kind = serializers.ChoiceField(["queue", "task"])
    name = serializers.CharField(max_length=255)


class LockData(serializers.Serializer[object]):
    """One lock that is held."""

    name = serializers.CharField()
    job = serializers.CharField(allow_blank=True, help_text="The job that holds it.")
    task = serializers.CharField(allow_blank=True)
    host = serializers.CharField()
    pid = serializers.IntegerField()
    since = serializers.DateTimeField()
    fencing = serializers.IntegerField()
    expires = serializers.DateTimeField(help_text="When it is free if its holder does not renew it.")
    waiting = serializers.SerializerMethodField(help_text="The jobs that wait for it, at most ten.")
    number = serializers.IntegerField(help_text="How many jobs wait.")

    def get_waiting(self, row: object) -> list[str]:
        """Return the ids of the jobs that wait."""
        return [job.pk for job in row.waiting]  # type: ignore[attr-defined]


class BreakRequest(serializers.Serializer[object]):
    """Which lock is to be broken, and why."""

    name = serializers.CharField(max_length=255)
    reason = serializers.CharField(max_length=500)


class HolderData(serializers.Serializer[object]):
    """A job that has a place."""

    job = serializers.CharField()
    since = serializers.DateTimeField()


class LimitData(serializers.Serializer[object]):
    """A limit with its key, or a fair queue."""

    name = serializers.CharField()
    what = serializers.CharField(help_text="The name of the limit, or queue:<name>.")
    key = serializers.CharField(allow_blank=True)
    most = serializers.IntegerField(help_text="Jobs that have a place at once; 0 is any number.")
    rate = serializers.CharField(allow_blank=True, help_text="How many start in a time, such as 100/m.")
    holders = HolderData(many=True, help_text="At most twenty.")
    number = serializers.IntegerField(help_text="How many have a place.")
    waiting = serializers.IntegerField()
    people = serializers.IntegerField(help_text="For how many persons they wait.")


class NextRequest(serializers.Serializer[object]):
    """Which job is to be the next."""

    job = serializers.CharField(max_length=255)
    reason = serializers.CharField(required=False, default="", max_length=500)


class FreeRequest(serializers.Serializer[object]):
    """Whose place is to be taken away, and why."""

    name = serializers.CharField(max_length=300)
    job = serializers.CharField(max_length=255)
    reason = serializers.CharField(max_length=500)
