"""Addresses of queues and locks, of their actions, and of their API."""

from django.urls import path

from jobroom.queues import api
from jobroom.queues.views import compatibility, locks, metrics, queues

app_name = "queues"
urlpatterns = [
    path("queues/", queues.queue_list, name="queues"),
    path("queues/pause/", queues.pause, name="pause"),
    path("queues/resume/", queues.resume, name="resume"),
    path("queues/of/<path:name>/message/", queues.message, name="message"),
    path("queues/of/<path:name>/many/", queues.many, name="many"),
    path("queues/of/<path:name>/", queues.queue, name="queue"),
    path("locks/", locks.lock_list, name="locks"),
    path("locks/free/", locks.free_place, name="free"),
    path("locks/next/", locks.let_be_next, name="next"),
    path("locks/break/", locks.break_lock, name="break"),
    path("metrics", metrics.metrics_page, name="metrics"),
    path("doctor/waiting/", compatibility.waiting_page, name="waiting"),
    path("api/doctor/waiting/", compatibility.WaitingView.as_view(), name="api-waiting"),
    path("api/queues/", api.QueueList.as_view(), name="api-queues"),
    path("api/queues/<path:name>/messages/", api.MessageList.as_view(), name="api-messages"),
    path("api/queues/<path:name>/purge/", api.Purge.as_view(), name="api-purge"),
    path("api/queues/<path:name>/move/", api.Move.as_view(), name="api-move"),
    path("api/pauses/", api.PauseList.as_view(), name="api-pauses"),
    path("api/limits/next/", api.NextTurn.as_view(), name="api-next"),
    path("api/limits/", api.LimitList.as_view(), name="api-limits"),
    path("api/locks/", api.LockList.as_view(), name="api-locks"),
]
