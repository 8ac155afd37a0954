"""Addresses of the jobs' pages."""

from django.urls import path

from jobroom.jobs import files
from jobroom.jobs.views import (
    access_requests,
    account,
    actions,
    bulk,
    export,
    kept_lists,
    launch,
    pages,
    presets,
    result_cache,
    tasks,
)

app_name = "jobs"
urlpatterns = [
    path("", pages.overview, name="overview"),
    path("jobs/", pages.job_list, name="jobs"),
    path("jobs/export/", export.export, name="export"),
    path("jobs/bulk/", bulk.on_many, name="bulk"),
    path("jobs/views/", kept_lists.keep, name="keep_view"),
    path("jobs/views/drop/", kept_lists.drop, name="drop_view"),
    path("ask-for-access/", access_requests.ask, name="ask_for_access"),
    path("jobs/<str:job_id>/", pages.job, name="job"),
    path("jobs/<str:job_id>/cancel/", actions.cancel, name="cancel"),
    path("jobs/<str:job_id>/retry/", actions.retry, name="retry"),
    path("jobs/<str:job_id>/log/", pages.log, name="log"),
    path("jobs/<str:job_id>/note/", actions.note, name="note"),
    path("answers/", result_cache.answers, name="answers"),
    path("answers/purge/", result_cache.purge, name="purge_answers"),
    path("account/", account.account, name="account"),
    path("account/zone/", account.choose_zone, name="zone"),
    path("account/end-all/", account.end_everything, name="end_all"),
    path("account/tokens/<int:token_id>/revoke/", account.revoke, name="revoke"),
    path("files/<uuid:file_id>/", files.download, name="file"),
    path("tasks/", tasks.task_list, name="tasks"),
    path("tasks/<path:name>/pin/", tasks.pin, name="pin"),
    path("tasks/<path:name>/presets/<int:preset_id>/drop/", presets.drop, name="drop_preset"),
    path("tasks/<path:name>/presets/", presets.keep, name="keep_preset"),
    path("tasks/<path:name>/options/<str:field>/", launch.options, name="options"),
    path("tasks/<path:name>/", launch.launch, name="launch"),
]
