"""What each role may do at each address, declared; an address that is not declared here fails the test.

A line says for each method who is let in, and what the others who are logged in get. The anonymous are sent to the login
page, and get 401 from the API. A method that a line does not name is none of the address: 405.
"""

import dataclasses
from collections.abc import Mapping

STAFF = frozenset({"clerk", "boss"})
EVERYBODY = frozenset({"nobody", "viewer", "reader", "launcher", "canceller", "owner", *STAFF})
SEE_JOB = frozenset({"viewer", "reader", "canceller", "owner", *STAFF})
SEE_TASK = frozenset({"viewer", "reader", "launcher", "canceller", *STAFF})
LAUNCH = frozenset({"launcher", *STAFF})
OWNER = frozenset({"owner", *STAFF})
FILE = frozenset({"owner", *STAFF})
BOSS = frozenset({"boss"})
CANCEL = frozenset({"canceller", "owner", *STAFF})
# Who may see something, and is told that they may not do this with it.
PUBLIC = frozenset({"anonymous", "left", *EVERYBODY})


@dataclasses.dataclass(frozen=True)
class Rule:
    """Who is let in with one method; others get `hidden`, or `refused` if they are among `told`."""

    open_to: frozenset[str]
    hidden: int = 404
    told: frozenset[str] = frozenset()
    refused: int = 403


Line = Mapping[str, Rule]


def line(get: Rule | None = None, post: Rule | None = None, **others: Rule) -> Line:
    """Return the rules of one address; what may be got may also be asked for by HEAD."""
    found = {method.upper(): rule for method, rule in others.items()}
    if get is not None:
        found["GET"] = found["HEAD"] = get
    if post is not None:
        found["POST"] = post
    return found


ALL, OWN, JOB = Rule(EVERYBODY), Rule(OWNER), Rule(SEE_JOB)
FORBIDDEN_BUT_STAFF = Rule(STAFF, hidden=403)
# Django's own guard of staff pages sends everybody else to its login.
STAFF_PAGE = Rule(STAFF, hidden=302)
FREE = Rule(PUBLIC)
# What only an operator may do: other staff are told so.
OPERATE = Rule(BOSS, hidden=302, told=STAFF)
API_OPERATE = Rule(BOSS, hidden=403)

LINES: dict[str, Line] = {
    # accounts
    "login/": line(FREE, FREE, put=FREE),
    "logout/": line(post=FREE),
    "password-reset/": line(FREE, FREE, put=FREE),
    "password-reset/sent/": line(FREE),
    "password-reset/<uidb64>/<token>/": line(FREE, FREE, put=FREE),
    "password-reset/done/": line(FREE),
    # probes
    "healthz": line(FREE),
    "readyz": line(FREE),
    "metrics": line(STAFF_PAGE),
    "health/": line(ALL),
    "health/line/": line(ALL),
    # jobs
    "": line(ALL),
    "jobs/": line(ALL),
    "jobs/export/": line(ALL),
    "jobs/bulk/": line(post=ALL),
    "jobs/views/": line(post=ALL),
    "jobs/views/drop/": line(post=ALL),
    "ask-for-access/": line(post=ALL),
    "jobs/<str:job_id>/": line(JOB),
    "jobs/<str:job_id>/log/": line(Rule(frozenset({"reader", "owner", *STAFF}))),
    "jobs/<str:job_id>/cancel/": line(post=JOB),  # who may see it is told on its page why not
    "jobs/<str:job_id>/retry/": line(post=JOB),
    "jobs/<str:job_id>/note/": line(post=JOB),
    "answers/": line(STAFF_PAGE),
    "answers/purge/": line(post=STAFF_PAGE),
    "account/": line(ALL),  # one's own alone, whoever one is
    "account/end-all/": line(post=ALL),
    "account/zone/": line(post=ALL),
    "account/tokens/<int:token_id>/revoke/": line(post=Rule(frozenset({"owner"}))),
    "files/<uuid:file_id>/": line(OWN),
    "tasks/": line(ALL),
    "tasks/<path:name>/": line(Rule(SEE_TASK), Rule(SEE_TASK)),
    "tasks/<path:name>/pin/": line(post=Rule(SEE_TASK)),
    "tasks/<path:name>/presets/": line(post=Rule(LAUNCH, told=SEE_TASK)),
    "tasks/<path:name>/presets/<int:preset_id>/drop/": line(post=Rule(frozenset({"owner"}))),
    "tasks/<path:name>/options/<str:field>/": line(Rule(frozenset())),  # the task has no field of rows
    "api/jobs/": line(ALL, ALL),
    "api/jobs/<str:job_id>/": line(JOB),
    "api/jobs/<str:job_id>/events/": line(JOB),
    "api/jobs/<str:job_id>/cancel/": line(post=Rule(CANCEL, told=SEE_JOB)),
    "api/jobs/<str:job_id>/retry/": line(post=Rule(CANCEL - {"owner"}, told=SEE_JOB)),
    "api/files/": line(post=ALL),
    "api/files/<uuid:file_id>/": line(OWN),
    "api/tasks/": line(ALL),
    "api/tasks/<path:name>/": line(Rule(SEE_TASK)),
    "api/tokens/": line(ALL, ALL),
    "api/tokens/<int:token_id>/": line(delete=Rule(frozenset({"owner"}))),
    "api/token/": line(post=FREE),
    "api/token/refresh/": line(post=FREE),
    "api/schema/": line(FREE),  # the shapes of the API; it names no task
    "api/[\\s\\S]*": {method: Rule(frozenset()) for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")},
    # workflows
    "workflows/": line(ALL),
    "workflows/decisions/": line(ALL),
    "workflows/definitions/": line(ALL),
    "workflows/definitions/<str:name>/": line(Rule(LAUNCH), Rule(LAUNCH)),
    "workflows/<str:workflow_id>/": line(OWN),
    "workflows/<str:workflow_id>/states/": line(OWN),
    "workflows/<str:workflow_id>/pause/": line(post=OWN),
    "workflows/<str:workflow_id>/unpause/": line(post=OWN),
    "workflows/<str:workflow_id>/cancel/": line(post=OWN),
    "workflows/<str:workflow_id>/resume/": line(OWN, OWN),
    "workflows/<str:workflow_id>/again/": line(OWN, OWN),
    "workflows/<str:workflow_id>/decide/": line(post=Rule(frozenset())),  # no node is named
    "workflows/<str:workflow_id>/deliver/": line(post=Rule(frozenset())),
    "workflows/<str:workflow_id>/link/": line(post=Rule(frozenset())),
    "workflows/events/<str:token>/": line(FREE, FREE),  # for whoever holds the link
    "api/workflows/": line(ALL, ALL),
    "api/workflows/schema/": line(ALL),
    "api/workflows/definitions/": line(ALL, ALL),
    "api/workflows/definitions/<str:name>/": line(Rule(LAUNCH)),
    "api/workflows/<str:workflow_id>/": line(OWN),
    "api/workflows/<str:workflow_id>/cancel/": line(post=OWN),
    "api/workflows/<str:workflow_id>/pause/": line(post=OWN),
    "api/workflows/<str:workflow_id>/unpause/": line(post=OWN),
    "api/workflows/<str:workflow_id>/resume/": line(post=OWN),
    "api/workflows/<str:workflow_id>/rerun/": line(post=OWN),
    "api/workflows/<str:workflow_id>/nodes/<str:key>/decision/": line(post=Rule(STAFF)),
    "api/workflows/<str:workflow_id>/nodes/<str:key>/event/": line(post=OWN),
    "api/workflows/<str:workflow_id>/nodes/<str:key>/link/": line(post=OWN),
    # schedules: staff all, others their own
    "schedules/": line(ALL),
    "schedules/new/": line(ALL, ALL),  # the task is in the query, and looked at there
    "schedules/preview/": line(ALL),
    "schedules/<int:schedule_id>/": line(OWN),
    "schedules/<int:schedule_id>/edit/": line(OWN, OWN),
    "schedules/<int:schedule_id>/pause/": line(post=OWN),
    "schedules/<int:schedule_id>/resume/": line(post=OWN),
    "schedules/<int:schedule_id>/run/": line(post=OWN),  # who may not launch any more is told on its page
    "schedules/<int:schedule_id>/skip/": line(post=OWN),
    "schedules/<int:schedule_id>/delete/": line(post=OWN),
    "api/schedules/": line(ALL, ALL),
    "api/schedules/<int:schedule_id>/": line(OWN, patch=Rule(STAFF, told=frozenset({"owner"})), delete=OWN),
    "api/schedules/<int:schedule_id>/pause/": line(post=OWN),
    "api/schedules/<int:schedule_id>/resume/": line(post=OWN),
    "api/schedules/<int:schedule_id>/run/": line(post=OWN),
    "api/schedules/<int:schedule_id>/skip/": line(post=OWN),
    # workers
    "workers/": line(STAFF_PAGE),
    "doctor/": line(STAFF_PAGE),
    "api/doctor/": line(FORBIDDEN_BUT_STAFF),
    "doctor/waiting/": line(STAFF_PAGE),
    "api/doctor/waiting/": line(FORBIDDEN_BUT_STAFF),
    "api/workers/": line(FORBIDDEN_BUT_STAFF),
    "workers/tell/": line(post=OPERATE),
    "workers/stack/<str:job_id>/": line(OPERATE),
    "api/workers/tell/": line(post=API_OPERATE),
    "api/workers/stack/<str:job_id>/": line(Rule(frozenset(), hidden=403, told=BOSS, refused=404)),  # it does not run
    # queues, pauses and locks: all staff look, those with the right act
    "queues/": line(STAFF_PAGE),
    "queues/pause/": line(post=OPERATE),
    "queues/resume/": line(post=OPERATE),
    "queues/of/<path:name>/": line(STAFF_PAGE),
    "queues/of/<path:name>/message/": line(post=OPERATE),
    "queues/of/<path:name>/many/": line(post=OPERATE),
    "locks/": line(STAFF_PAGE),
    "locks/break/": line(post=OPERATE),
    "locks/free/": line(post=OPERATE),
    "api/queues/": line(FORBIDDEN_BUT_STAFF),
    "api/queues/<path:name>/messages/": line(FORBIDDEN_BUT_STAFF, API_OPERATE),
    "api/queues/<path:name>/purge/": line(post=API_OPERATE),
    "api/queues/<path:name>/move/": line(post=API_OPERATE),
    "api/pauses/": line(FORBIDDEN_BUT_STAFF, API_OPERATE, delete=API_OPERATE),
    "api/limits/": line(FORBIDDEN_BUT_STAFF, API_OPERATE),
    "api/locks/": line(FORBIDDEN_BUT_STAFF, API_OPERATE),
    # audit
    "audit/": line(STAFF_PAGE),
    "audit/export.csv": line(STAFF_PAGE),
    "audit/export.json": line(STAFF_PAGE),
    "api/audit/": line(FORBIDDEN_BUT_STAFF),
    # dead letters: deleting one needs the permission of the admin
    "dead-letters/": line(STAFF_PAGE),
    "dead-letters/requeue/": line(post=STAFF_PAGE),
    "dead-letters/delete/": line(post=Rule(BOSS, hidden=302, told=STAFF)),
    "api/dead-letters/": line(FORBIDDEN_BUT_STAFF),
    "api/dead-letters/<int:letter_id>/": line(FORBIDDEN_BUT_STAFF, delete=Rule(BOSS, hidden=403)),
    "api/dead-letters/<int:letter_id>/requeue/": line(post=FORBIDDEN_BUT_STAFF),
    # mails
    "mails/": line(STAFF_PAGE),
    "mails/<uuid:mail_id>/": line(STAFF_PAGE),
    "mails/<uuid:mail_id>/again/": line(post=Rule(BOSS, hidden=302, told=STAFF)),
    "mails/<uuid:mail_id>/give-up/": line(post=Rule(BOSS, hidden=302, told=STAFF)),
    "api/mails/": line(FORBIDDEN_BUT_STAFF),
    "api/mails/<uuid:mail_id>/": line(FORBIDDEN_BUT_STAFF),
    # assets
    "assets/": line(ALL, ALL),
    "assets/<int:asset_id>/": line(OWN),
    "assets/<int:asset_id>/delete/": line(post=OWN),
    "api/assets/": line(ALL, ALL),
    "api/assets/<int:pk>/": line(OWN, delete=OWN),
    # biosample
    "submissions/": line(ALL),
    "submissions/<int:submission_id>/": line(OWN),
    # text
    "text/models/": line(ALL),
    "text/models/roll-back/": line(post=FORBIDDEN_BUT_STAFF),
    "text/models/<int:version>/": line(Rule(STAFF)),
    "text/models/<int:version>/promote/": line(post=FORBIDDEN_BUT_STAFF),
    "api/text/models/": line(ALL),
    "api/text/models/roll-back/": line(post=FORBIDDEN_BUT_STAFF),
    "api/text/models/<int:version>/": line(Rule(STAFF)),
    "api/text/models/<int:version>/promote/": line(post=Rule(STAFF)),
    # vocabularies: open to all who are logged in, loaded by few
    "vocabularies/": line(ALL, FORBIDDEN_BUT_STAFF),
    "vocabularies/<slug:name>/": line(ALL),
    "vocabularies/<slug:name>/delete/": line(post=FORBIDDEN_BUT_STAFF),
    "vocabularies/<slug:name>/terms/<path:term_id>/": line(Rule(frozenset())),  # there is no such term
    "api/vocabularies/": line(ALL, FORBIDDEN_BUT_STAFF),
    "api/vocabularies/<slug:name>/": line(ALL, delete=FORBIDDEN_BUT_STAFF),
    "api/vocabularies/<slug:name>/terms/": line(ALL),
    "api/vocabularies/<slug:name>/terms/<path:term_id>/": line(ALL),  # 409: the vocabulary is not loaded
}
# In Django's admin: what is for staff without any permission of a model.
CLERKS_ADMIN = frozenset({
    "admin/", "admin/logout/", "admin/password_change/", "admin/password_change/done/", "admin/jsi18n/", "admin/login/",
})  # fmt: skip
