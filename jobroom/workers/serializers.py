"""REST serializers of workers."""

from rest_framework import serializers


class ResourceData(serializers.Serializer[object]):
    """One resource of one worker."""

    name = serializers.CharField()
    state = serializers.ChoiceField(["waiting", "loading", "ready", "failed", "unloaded", "unknown"])
    last_state = serializers.CharField(help_text="What the worker said last; the state unless it is silent.")
    queues = serializers.ListField(child=serializers.CharField())
    since = serializers.DateTimeField(allow_null=True, help_text="Since when it is in that state.")
    versions = serializers.ListField(child=serializers.CharField())
    next_version = serializers.CharField(allow_null=True, help_text="Being loaded while another one is used.")
    refused = serializers.CharField(allow_null=True, help_text="Could not be loaded; another one is used meanwhile.")
    size = serializers.IntegerField(help_text="Bytes, of all processes together.")
    seconds = serializers.FloatField(help_text="That the load took.")
    loaded_at = serializers.DateTimeField(allow_null=True)
    last_used = serializers.DateTimeField(allow_null=True)
    error = serializers.CharField(allow_blank=True)
    attempts = serializers.IntegerField(help_text="Failed loads in a row.")
    retry_at = serializers.DateTimeField(allow_null=True)
    processes = serializers.IntegerField()
    ready = serializers.IntegerField(help_text="Processes that have it.")
    shared = serializers.BooleanField(help_text="One copy, loaded before the fork.")


class WorkerData(serializers.Serializer[object]):
    """One worker."""

    name = serializers.CharField()
    state = serializers.ChoiceField(["alive", "starting", "waiting", "stuck", "silent", "quiet"])
    host = serializers.CharField()
    pid = serializers.IntegerField()
    queues = serializers.ListField(child=serializers.CharField())
    waiting = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField()),
        help_text="Queues that it does not consume now, with the resources that they wait for.",
    )
    paused = serializers.ListField(child=serializers.CharField(), help_text="Queues that it holds, as they are paused.")
    pool = serializers.CharField()
    concurrency = serializers.IntegerField()
    held = serializers.ListField(child=serializers.CharField(), help_text="Ids of the jobs that it holds.")
    running = serializers.ListField(child=serializers.DictField(), help_text="job, task and began of what it runs.")
    started = serializers.DateTimeField(allow_null=True)
    seen = serializers.DateTimeField(allow_null=True)
    silent = serializers.FloatField(help_text="Seconds since its last heartbeat.")
    resources = ResourceData(many=True)
    predecessor = serializers.CharField(
        allow_blank=True, help_text="What happened to the process of that name before this one."
    )
