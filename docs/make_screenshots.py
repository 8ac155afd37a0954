"""Takes the pictures of docs/images/ from a running control room: computer and phone, light and dark.

    .venv/bin/python docs/make_screenshots.py --url http://127.0.0.1:8000

It signs in as `admin` with the password that `manage.py up` keeps in the data folder, and sends a few of the sample jobs
first, so that there is something to see.
"""

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SIZES = {"computer": (1280, 800), "phone": (390, 844)}
# The pictures: a name and an address; {job} is a job that has just run.
PAGES = {"overview": "/", "jobs": "/jobs/", "job": "/jobs/{job}/"}
# The first picture of the README.
FIRST = ("overview", "computer", "light")
SETTLE = 1.0  # seconds for the page's socket to connect and its bars to stand still


def main() -> None:
    """Take all pictures that were asked for."""
    options = _options()
    job = options.job or send_samples()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        for size in SIZES:
            for theme in ("light", "dark"):
                take(browser, options, job, size, theme)
        browser.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Take the pictures of the documentation.")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="address of the running control room")
    parser.add_argument("--user", default="admin")
    parser.add_argument("--password", help="default: the one in the data folder (IMAGE_VAR)")
    parser.add_argument("--job", help="id of a job to show; default: one of the sample jobs that are sent first")
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


def send_samples() -> str:
    """Send sample jobs that end in different ways; return the id of one that runs long enough to be seen."""
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "image.settings")
    import django

    django.setup()
    from demo import tasks

    running = tasks.progress.delay(90, 300)
    ended = [
        tasks.echo.delay("Good morning"),
        tasks.add.delay(2, 40),
        tasks.fail.delay("The disk is full"),
        tasks.Countdown().delay(200),
    ]
    for result in ended:
        result.get(timeout=60, propagate=False)
    tasks.Countdown().delay(1000)
    tasks.mul.delay(6, 7)
    tasks.wait.apply_async((60,), countdown=3600)
    end = time.monotonic() + 60
    while not _is_running(running.id):
        if time.monotonic() > end:
            sys.exit("The sample job does not start: is a worker of the queue `default` running?")
        time.sleep(0.2)
    return str(running.id)


def _is_running(job: str) -> bool:
    from jobs.models import Job, State

    return Job.objects.filter(pk=job, state=State.RUNNING).exists()


def take(browser: Browser, options: argparse.Namespace, job: str, size: str, theme: str) -> None:
    """Take the pictures in one size and one theme."""
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if theme == "dark" else "light",
        device_scale_factor=1 if size == "computer" else 2,
    )
    sign_in(context, options)
    options.folder.mkdir(parents=True, exist_ok=True)
    for name, address in PAGES.items():
        picture(context.new_page(), options, name, address.format(job=job), size, theme)
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


def picture(page: Page, options: argparse.Namespace, name: str, address: str, size: str, theme: str) -> None:
    """Take one picture of what a visitor sees first."""
    response = page.goto(f"{options.url}{address}", wait_until="load")
    if response is None or not response.ok:
        sys.exit(f"{address} answered {response.status if response else 'nothing'}.")
    page.wait_for_timeout(SETTLE * 1000)
    full = name if (name, size, theme) == FIRST else f"{name}-{size}-{theme}"
    page.screenshot(path=options.folder / f"{full}.png")
    sys.stdout.write(f"{full}.png\n")
    page.close()


if __name__ == "__main__":
    main()
