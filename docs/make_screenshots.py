"""Takes the pictures of docs/images/ from a running installation: computer and phone, light and dark.

    .venv/bin/python docs/make_screenshots.py --url http://127.0.0.1:8000 --mesh bunny.ply

It signs in as `admin` with the password that `manage.py up` keeps in the data folder. First it fills Jobroom with
jobs, assets and a schedule, so that there is something to see; `--as-it-is` leaves that out. Use a data folder of its own
(IMAGE_VAR) for it.
"""

import argparse
import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chromium-headless-shell")
# Name, width and height of the window, pixels for each point.
SIZES = {"computer": (1280, 800, 1.0), "phone": (390, 844, 1.5)}
THEMES = ("light", "dark")
SETTLE = 1.0  # seconds for the page's socket to connect and its bars to stand still
PATIENCE = 180.0  # seconds for the sample jobs
COLOURS = 96  # of a kept picture: pages are flat, and small files are kinder to anyone who clones the project

# What is pictured: a name, and how its address is found now.
PAGES: dict[str, Callable[[], str]] = {
    "job-running": lambda: f"/jobs/{running_job()}/",
    "overview": lambda: "/",
    "jobs": lambda: "/jobs/",
    "job": lambda: f"/jobs/{newest_job(task='Process asset', state='succeeded')}/",
    "job-failed": lambda: f"/jobs/{newest_job(task='demo.fail', state='failed')}/",
    "tasks": lambda: "/tasks/",
    "launch": lambda: f"/tasks/Process%20asset/?asset={first_asset()}",
    "assets": lambda: "/assets/",
    "asset": lambda: f"/assets/{first_asset()}/",
    "workflows": lambda: "/workflows/",
    "workflow": lambda: f"/workflows/{newest_workflow('Publish a mesh')}/?node=render+pictures",
    "workflow-large": lambda: f"/workflows/{newest_workflow('A thousand nodes')}/",
    "workflow-timeline": lambda: f"/workflows/{newest_workflow('Publish a mesh', state='FAILURE')}/?tab=timeline",
    "workflow-grid": lambda: f"/workflows/{newest_workflow('Publish a mesh', state='FAILURE')}/?tab=grid",
    "models": lambda: "/text/models/",
    "model": lambda: "/text/models/1/",
    "vocabularies": lambda: "/vocabularies/",
    "vocabulary": lambda: "/vocabularies/organism_part/?q=liver",
    "workers": lambda: "/workers/",
    "mails": lambda: "/mails/",
    "answers": lambda: "/answers/",
    "schedules": lambda: "/schedules/",
    "schedule-new": lambda: "/schedules/new/",
    "workflow-resume": lambda: f"/workflows/{newest_workflow('Publish a mesh', state='FAILURE')}/resume/",
    "definition": lambda: f"/workflows/definitions/levels-of-detail/?asset={first_asset()}",
    "decisions": lambda: "/workflows/decisions/",
    "queues": lambda: "/queues/",
    "locks": lambda: "/locks/",
    "audit": lambda: "/audit/",
    "failures": lambda: "/failures/",
    "failure": lambda: f"/failures/{newest_cause()}/",
    "alerts": lambda: "/alerts/",
    "deadlines": lambda: "/deadlines/",
    "times": lambda: "/times/?span=hour",
    "doctor": lambda: "/doctor/",
    "health": lambda: "/health/",
    "submissions": lambda: "/submissions/",
    "account": lambda: "/account/",
}


def main() -> None:
    """Take all pictures that were asked for."""
    options = _options()
    _django()
    if not options.as_it_is:
        fill(options.mesh)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        for size in SIZES:
            for theme in THEMES:
                take(browser, options, size, theme)
        browser.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Take the pictures of the documentation.")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="address of the running installation")
    parser.add_argument("--user", default="admin")
    parser.add_argument("--password", help="default: the one in the data folder (IMAGE_VAR)")
    parser.add_argument(
        "--mesh", type=Path, action="append", default=[], help="a mesh to upload first; may be repeated"
    )
    parser.add_argument("--as-it-is", action="store_true", help="send no sample jobs")
    parser.add_argument("--page", choices=PAGES, action="append", help="only this page; may be repeated")
    parser.add_argument("--folder", type=Path, default=IMAGES)
    options = parser.parse_args()
    if options.password is None:
        kept = Path(os.environ.get("IMAGE_VAR", ROOT / "var")) / "admin-password"
        options.password = kept.read_text().strip()
    return options


def chromium() -> str:
    """Return the browser: IMAGE_CHROMIUM, else one that is installed."""
    named = os.environ.get("IMAGE_CHROMIUM")
    found = named or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        sys.exit("No Chromium: install it, or set IMAGE_CHROMIUM to its program.")
    return found


def _django() -> None:
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "image.settings")
    # Playwright runs an event loop in this thread, and the database is asked between two pictures.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    import django

    django.setup()


def launch(task: str, **arguments: Any) -> str:
    """Launch a job as `admin`; return its id."""
    from django.contrib.auth.models import User

    from jobroom.jobs import launches
    from jobroom.jobs.models import Source

    after = arguments.pop("run_after", None)
    admin = User.objects.get(username="admin")
    job = launches.launch(task=task, arguments=arguments, by=admin, source=Source.PAGE, run_after=after)
    return str(job.pk)


def fill(meshes: list[Path]) -> None:
    """Upload the meshes, send jobs that end in different ways, and set a schedule."""
    from django.contrib.auth.models import User
    from django.core.files.uploadedfile import SimpleUploadedFile
    from django.utils import timezone

    from assets import services
    from jobroom.jobs import launches

    admin = User.objects.get(username="admin")
    for path in meshes:
        services.add(upload=SimpleUploadedFile(path.name, path.read_bytes()), owner=admin)
    sent = [launch("Process asset", asset=first_asset() + number) for number in reversed(range(len(meshes)))]
    sent += [launch("demo.echo", text="Good morning"), launch("demo.add", x=2, y=40)]
    sent += [launch("demo.fail", message="The disk is full"), launch("demo.countdown", start=100)]
    sent += [
        launch(
            "jobroom.notifications.send_email",
            to=["ada@example.org"],
            subject="The mesh is ready",
            text="Come and see.",
        )
    ]
    sent += [launch("demo.answer_once", text=text, secs=0.5) for text in ("Good morning", "Good evening")]
    wait_for(sent)
    wait_for([launch("demo.answer_once", text="good  morning")])
    fill_workflows(admin)
    launches.repeat(
        task="Process asset", arguments={"asset": first_asset()}, by=admin, cron="0 6 * * 1-5", name="Bunny at six"
    )
    fill_rules(admin)
    launch("demo.wait", secs=60, run_after=timezone.now() + timedelta(hours=3))
    launch("demo.progress", secs=600, steps=1200)


def fill_rules(admin: Any) -> None:
    """Say what is expected of two tasks, and watch failures, a task and a queue."""
    from jobroom.jobs import deadline_rules
    from jobroom.jobs.exceptions import NotNow
    from jobroom.notifications import alerts

    for task, times in (("Process asset", {"within": 1800}), ("demo.wait", {"within": 600, "silent": 120})):
        with contextlib.suppress(NotNow):  # it is said already
            deadline_rules.add(of="task", name=task, times=times, by=admin)
    for rule in ({"what": "failure"}, {"what": "task", "of": "Process asset"}, {"what": "depth", "of": "heavy"}):
        alerts.add(given={**rule, "threshold": "500"}, by=admin)


def fill_workflows(admin: Any) -> None:
    """Run a small workflow three times, with a node that fails and a decision to make, and begin a large one."""
    from jobroom.workflows import approvals, arrivals
    from jobroom.workflows.models import FINISHED, StoredWorkflow

    for secs in (1.0, 2.0, 3.0):
        publish(admin, secs)
    until(lambda: approvals.waiting().count() == 3, "come to their decision")
    for stored in approvals.waiting()[1:]:
        node = next(node for node in stored.read_graph().nodes if node.key == "publish?")
        arrivals.decide(stored, node, approve=True, by=admin, comment="They look fine")
    until(lambda: StoredWorkflow.objects.filter(state__in=FINISHED).count() >= 2, "end")
    large(admin)


def until(fact: Callable[[], bool], what: str) -> None:
    """Wait until something is so; leave with a reason when it does not come."""
    end = time.monotonic() + PATIENCE
    while not fact():
        if time.monotonic() > end:
            sys.exit(f"The sample workflows do not {what}: is a worker running?")
        time.sleep(0.2)


def publish(admin: Any, secs: float) -> None:
    """Begin a workflow as a team may have it."""
    from celery import current_app

    from jobroom.workflows.workflows import Workflow

    tasks, workflow = current_app.tasks, Workflow(name="Publish a mesh")
    wait, echo = tasks["demo.wait"], tasks["demo.echo"]
    inspect = workflow.add_signature(tasks["demo.progress"].si(secs=secs, steps=20), key="inspect")
    repair = workflow.add_signature(wait.si(secs), [inspect], key="repair")
    sizes = [
        workflow.add_signature(wait.si(secs / 2 + part), [repair], key=f"simplify to {share} %", group=["simplify"])
        for part, share in enumerate((50, 25, 10))
    ]
    pictures = workflow.add_signature(tasks["demo.fail"].si("The disk is full"), [repair], key="render pictures")
    notified = workflow.add_signature(tasks["demo.log"].si("No pictures this time"), key="notify the team")
    notified.add_dependency(pictures, {"when": "failure"})
    asked = workflow.add_approval("publish?", sizes, question="Publish the three versions?", groups=["editors"])
    workflow.add_signature(echo.si("published"), [asked], key="publish")
    tidy = workflow.add_signature(echo.si("tidy"), key="tidy up")
    tidy.add_dependency(pictures, {"when": "always"})
    workflow.finalizer(tasks["demo.log"].si("The end"))
    workflow.apply_async(owner=admin, source="page")


def large(admin: Any) -> None:
    """Begin a workflow of a thousand nodes in forty steps, each node after two of the step before."""
    from celery import current_app

    from jobroom.workflows.workflows import Workflow

    workflow, wide = Workflow(name="A thousand nodes"), 25
    rows: list[list[Any]] = []
    for step in range(40):
        before = rows[-1] if rows else []
        rows.append(
            [
                workflow.add_signature(
                    current_app.tasks["demo.wait"].si(0.3),
                    [before[at], before[(at * 7 + step) % wide]]
                    if before and (at * 7 + step) % wide != at
                    else before[at : at + 1],
                    key=f"step {step + 1}.{at + 1}",
                )
                for at in range(wide)
            ]
        )
    workflow.apply_async(owner=admin, source="page")


def newest_workflow(name: str, **wanted: str) -> str:
    """Return the id of the newest such workflow of that name."""
    from jobroom.workflows.models import StoredWorkflow

    return str(
        StoredWorkflow.objects.filter(name=name, **wanted).order_by("-created_at").values_list("pk", flat=True)[0]
    )


def wait_for(jobs: list[str]) -> None:
    """Wait until all jobs have ended."""
    from jobroom.jobs.models import FINISHED, Job

    end = time.monotonic() + PATIENCE
    while Job.objects.filter(pk__in=jobs, state__in=FINISHED).count() < len(jobs):
        if time.monotonic() > end:
            sys.exit("The sample jobs do not end: is a worker of every queue running?")
        time.sleep(0.2)


def first_asset() -> int:
    """Return the id of the oldest asset."""
    from assets.models import Asset

    found = Asset.objects.order_by("pk").first()
    return found.pk if found else sys.exit("There is no asset: give one with --mesh.")


def newest_cause() -> str:
    """Return the id of the cause that was seen last."""
    from jobroom.jobs.models import FailureGroup

    return str(FailureGroup.objects.order_by("-last_seen").values_list("pk", flat=True)[0])


def newest_job(**wanted: str) -> str:
    """Return the id of the newest such job."""
    from jobroom.jobs.models import Job

    return str(Job.objects.filter(**wanted).order_by("-created_at").values_list("pk", flat=True)[0])


def running_job() -> str:
    """Launch a job and return its id when it is in the middle of its work."""
    from jobroom.jobs import current_state

    job = launch("Process asset", asset=first_asset())
    end = time.monotonic() + PATIENCE
    while True:
        found = current_state.job(job)
        if found is not None and (found.is_finished or (found.fraction or 0) >= 0.2):
            return job
        if time.monotonic() > end:
            sys.exit("The sample job does not start: is a worker of its queue running?")
        time.sleep(0.05)


def take(browser: Browser, options: argparse.Namespace, size: str, theme: str) -> None:
    """Take the pictures in one size and one theme."""
    width, height, scale = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if theme == "dark" else "light",
        device_scale_factor=scale,
    )
    sign_in(context, options)
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.page or PAGES:
        file = options.folder / f"{name}-{size}-{theme}.png"
        picture(context.new_page(), f"{options.url}{PAGES[name]()}", file)
        sys.stdout.write(f"{file.name} {file.stat().st_size // 1024} kB\n")
    context.close()


def sign_in(context: BrowserContext, options: argparse.Namespace) -> None:
    """Fill in the login form; leave with the reason when it is refused."""
    page = context.new_page()
    page.goto(f"{options.url}/admin/login/?next=/healthz")
    page.fill("input[name=username]", options.user)
    page.fill("input[name=password]", options.password)
    page.press("input[name=password]", "Enter")
    page.wait_for_load_state()
    if "/login" in page.url:
        sys.exit(f"{options.url} refuses {options.user} with that password.")
    page.close()


def picture(page: Page, address: str, file: Path) -> None:
    """Take one picture of what a visitor sees first, and keep it small."""
    response = page.goto(address, wait_until="load")
    if response is None or not response.ok:
        sys.exit(f"{address} answered {response.status if response else 'nothing'}.")
    page.wait_for_timeout(SETTLE * 1000)
    # It names the folder in which Jobroom runs here, which is no one's business.
    page.evaluate("document.querySelectorAll('details[id*=traceback]').forEach(one => one.open = false)")
    page.screenshot(path=file)
    page.close()
    with Image.open(file) as taken:
        few = taken.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(file, optimize=True)


if __name__ == "__main__":
    main()
