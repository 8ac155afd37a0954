"""What each role may do at each address, declared; an address that is not declared here fails the test.

A line says for each method who is let in, and what the others who are logged in get. The anonymous are sent to the login
page, and get 401 from the API. A method that a line does not name is none of the address: 405.
"""

import dataclasses
from collections.abc import Mapping

STAFF = frozenset({"clerk", "boss"})
EVERYONE = frozenset({"nobody", "viewer", "reader", "launcher", "canceller", "owner", *STAFF})
SEE_JOB = frozenset({"viewer", "reader", "canceller", "owner", *STAFF})
SEE_TASK = frozenset({"viewer", "reader", "launcher", "canceller", *STAFF})
LAUNCH = frozenset({"launcher", *STAFF})
OWNER = frozenset({"owner", *STAFF})
FILE = frozenset({"owner", *STAFF})
BOSS = frozenset({"boss"})
OWNER_ALONE = frozenset({"owner"})
CANCEL = frozenset({"canceller", "owner", *STAFF})
# Who may see something, and is answered that they may not do this with it.
PUBLIC = frozenset({"anonymous", "left", *EVERYONE})


@dataclasses.dataclass(frozen=True)
class Rule:
    """Who is let in with one method; others get `hidden`, or `refused` if they are among `viewers`."""

    open_to: frozenset[str]
    hidden: int = 404
    viewers: frozenset[str] = frozenset()
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


ALL, OWN, JOB = Rule(EVERYONE), Rule(OWNER), Rule(SEE_JOB)
FORBIDDEN_BUT_STAFF = Rule(STAFF, hidden=403)
# Pages for staff say so to everyone else, whatever their address names.
STAFF_PAGE = Rule(STAFF, hidden=403)
FREE = Rule(PUBLIC)
# What only an operator may do: other staff are answered so.
OPERATE = Rule(BOSS, hidden=403, viewers=STAFF)
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
    "times/": line(ALL),  # of the jobs that one may see
    "jobs/views/": line(post=ALL),
    "jobs/views/drop/": line(post=ALL),
    "ask-for-access/": line(post=ALL),
    "jobs/<str:job_id>/": line(JOB),
    "jobs/<str:job_id>/log/": line(Rule(frozenset({"reader", "owner", *STAFF}))),
    "jobs/<str:job_id>/cancel/": line(post=JOB),  # who may see it reads on its page why not
    "jobs/<str:job_id>/retry/": line(post=JOB),
    "jobs/<str:job_id>/note/": line(post=JOB),
    "presets/": line(ALL),  # one's own alone
    "presets/<int:preset_id>/rename/": line(post=Rule(frozenset({"owner"}))),
    "presets/<int:preset_id>/drop/": line(post=Rule(frozenset({"owner"}))),
    "task-rules/": line(STAFF_PAGE),
    "task-rules/new/": line(API_OPERATE, API_OPERATE),
    "task-rules/<int:rule_id>/": line(STAFF_PAGE, API_OPERATE),
    "task-rules/<int:rule_id>/delete/": line(post=API_OPERATE),
    "answers/": line(STAFF_PAGE),
    "answers/purge/": line(post=STAFF_PAGE),
    "account/": line(ALL),  # one's own alone, no matter who
    "account/end-all/": line(post=ALL),
    "account/zone/": line(post=ALL),
    "account/tokens/<int:token_id>/revoke/": line(post=Rule(frozenset({"owner"}))),
    "files/<uuid:file_id>/": line(OWN),
    "tasks/": line(ALL),
    "tasks/<path:name>/": line(Rule(SEE_TASK), Rule(SEE_TASK)),
    "tasks/<path:name>/pin/": line(post=Rule(SEE_TASK)),
    "tasks/<path:name>/presets/": line(post=Rule(LAUNCH, viewers=SEE_TASK)),
    "tasks/<path:name>/presets/<int:preset_id>/drop/": line(post=Rule(frozenset({"owner"}))),
    "tasks/<path:name>/options/<str:field>/": line(Rule(frozenset())),  # the task has no field of rows
    "api/jobs/": line(ALL, ALL),
    "api/jobs/<str:job_id>/": line(JOB),
    "api/jobs/<str:job_id>/events/": line(JOB),
    "api/jobs/<str:job_id>/cancel/": line(post=Rule(CANCEL, viewers=SEE_JOB)),
    "api/jobs/<str:job_id>/retry/": line(post=Rule(CANCEL - {"owner"}, viewers=SEE_JOB)),
    "api/times/": line(ALL),
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
    "workflows/events/<str:token>/": line(FREE, FREE),  # for anyone who holds the link
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
    "schedules/<int:schedule_id>/policy/": line(OWN, OWN),
    "schedules/<int:schedule_id>/pause/": line(post=OWN),
    "schedules/<int:schedule_id>/resume/": line(post=OWN),
    "schedules/<int:schedule_id>/run/": line(post=OWN),  # who may not launch any more reads so on its page
    "schedules/<int:schedule_id>/skip/": line(post=OWN),
    "schedules/<int:schedule_id>/settle/": line(post=OWN),
    "schedules/<int:schedule_id>/delete/": line(post=OWN),
    "schedules/<int:schedule_id>/backfill/": line(OWN, OWN),  # who may not launch any more reads so there
    "schedules/<int:schedule_id>/backfills/<int:backfill_id>/": line(OWN),
    "schedules/<int:schedule_id>/backfills/<int:backfill_id>/act/": line(post=OWN),
    "api/schedules/<int:schedule_id>/backfills/": line(OWN, OWN),
    "api/schedules/<int:schedule_id>/backfills/<int:backfill_id>/": line(OWN, OWN),
    # calendars: all see them, staff change them
    "calendars/": line(ALL),
    "calendars/new/": line(STAFF_PAGE, STAFF_PAGE),
    "calendars/read/": line(post=STAFF_PAGE),
    "calendars/<int:calendar_id>/": line(ALL),
    "calendars/<int:calendar_id>/edit/": line(STAFF_PAGE, STAFF_PAGE),
    "calendars/<int:calendar_id>/delete/": line(post=STAFF_PAGE),
    "api/calendars/": line(ALL, FORBIDDEN_BUT_STAFF),
    "api/calendars/<int:calendar_id>/": line(ALL, patch=FORBIDDEN_BUT_STAFF, delete=FORBIDDEN_BUT_STAFF),
    "api/schedules/": line(ALL, ALL),
    "api/schedules/<int:schedule_id>/": line(OWN, patch=Rule(STAFF, viewers=frozenset({"owner"})), delete=OWN),
    "api/schedules/<int:schedule_id>/policy/": line(OWN, patch=OWN),
    "api/schedules/<int:schedule_id>/runs/": line(OWN),
    "api/schedules/<int:schedule_id>/pause/": line(post=OWN),
    "api/schedules/<int:schedule_id>/resume/": line(post=OWN),
    "api/schedules/<int:schedule_id>/run/": line(post=OWN),
    "api/schedules/<int:schedule_id>/skip/": line(post=OWN),
    "api/schedules/<int:schedule_id>/settle/": line(post=OWN),
    # workers
    "workers/": line(STAFF_PAGE),
    "doctor/": line(STAFF_PAGE),
    "api/doctor/": line(FORBIDDEN_BUT_STAFF),
    "doctor/waiting/": line(STAFF_PAGE),
    "api/doctor/waiting/": line(FORBIDDEN_BUT_STAFF),
    "api/workers/": line(FORBIDDEN_BUT_STAFF),
    "workers/control/": line(post=OPERATE),
    "workers/stack/<str:job_id>/": line(OPERATE),
    "api/workers/control/": line(post=API_OPERATE),
    "api/workers/stack/<str:job_id>/": line(
        Rule(frozenset(), hidden=403, viewers=BOSS, refused=404)
    ),  # it does not run
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
    "locks/next/": line(post=OPERATE),
    "api/queues/": line(FORBIDDEN_BUT_STAFF),
    "api/queues/<path:name>/messages/": line(FORBIDDEN_BUT_STAFF, API_OPERATE),
    "api/queues/<path:name>/purge/": line(post=API_OPERATE),
    "api/queues/<path:name>/move/": line(post=API_OPERATE),
    "api/pauses/": line(FORBIDDEN_BUT_STAFF, API_OPERATE, delete=API_OPERATE),
    "api/limits/next/": line(post=API_OPERATE),
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
    "dead-letters/delete/": line(post=Rule(BOSS, hidden=403, viewers=STAFF)),
    "api/dead-letters/": line(FORBIDDEN_BUT_STAFF),
    "api/dead-letters/<int:dead_letter_id>/": line(FORBIDDEN_BUT_STAFF, delete=Rule(BOSS, hidden=403)),
    "api/dead-letters/<int:dead_letter_id>/requeue/": line(post=FORBIDDEN_BUT_STAFF),
    # mails
    "mails/": line(STAFF_PAGE),
    "mails/<uuid:mail_id>/": line(STAFF_PAGE),
    "mails/<uuid:mail_id>/again/": line(post=Rule(BOSS, hidden=403, viewers=STAFF)),
    "mails/<uuid:mail_id>/give-up/": line(post=Rule(BOSS, hidden=403, viewers=STAFF)),
    # causes of failures: all staff look, those with the right act
    "failures/": line(STAFF_PAGE),
    "failures/<str:group_id>/": line(STAFF_PAGE),
    "failures/<str:group_id>/act/": line(post=Rule(BOSS, hidden=403, viewers=STAFF)),
    "api/failures/": line(FORBIDDEN_BUT_STAFF),
    "api/failures/<str:group_id>/": line(FORBIDDEN_BUT_STAFF),
    "api/failures/<str:group_id>/act/": line(post=Rule(BOSS, hidden=403, viewers=STAFF)),
    # alerts: each has rules of their own
    "alerts/": line(ALL, ALL),
    "alerts/<int:alert_id>/": line(Rule(OWNER_ALONE)),
    "alerts/<int:alert_id>/drop/": line(post=Rule(OWNER_ALONE)),
    "alerts/<int:alert_id>/test/": line(post=Rule(OWNER_ALONE)),
    "api/alerts/": line(ALL, ALL),
    "api/alerts/<int:alert_id>/": line(Rule(OWNER_ALONE), delete=Rule(OWNER_ALONE)),
    "api/alerts/<int:alert_id>/test/": line(post=Rule(OWNER_ALONE)),
    # what is expected of jobs: all staff look, those with the right say it
    "deadlines/": line(STAFF_PAGE, Rule(BOSS, hidden=403, viewers=STAFF)),
    "deadlines/<int:expectation_id>/drop/": line(post=Rule(BOSS, hidden=403, viewers=STAFF)),
    "api/deadlines/": line(FORBIDDEN_BUT_STAFF, Rule(BOSS, hidden=403, viewers=STAFF)),
    "api/deadlines/<int:expectation_id>/": line(delete=Rule(BOSS, hidden=403, viewers=STAFF)),
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
    "submissions/new/": line(API_OPERATE, API_OPERATE),
    "submissions/<int:submission_id>/edit/": line(Rule(BOSS, viewers=OWNER), Rule(BOSS, viewers=OWNER)),
    "submissions/<int:submission_id>/submit/": line(post=Rule(BOSS, viewers=OWNER)),
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
