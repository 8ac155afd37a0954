"""Forked children are processes like any other."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobroom.testing import wait_until
from jobroom.testing.processes import Process

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]

LOOK = """
import os, random, sys, threading
print(os.getpid(), os.getsid(0), "PYTEST_CURRENT_TEST" in os.environ, sys.argv[1:], threading.active_count(), random.random())
print(sorted(int(name) for name in os.listdir("/proc/self/fd"))[:-1])
print("error", file=sys.stderr)
"""


def python(code, *arguments, **options):
    return Process("python", [sys.executable, "-c", code, *arguments], **options)


def test_a_child_has_its_own_id_session_environment_and_arguments():
    with python(LOOK, "a", "b c") as child:
        assert child.popen.wait(60) == 0
    first, second = child.log.splitlines()[:2]
    assert first.startswith(f"{child.pid} {child.pid} False ['a', 'b c'] 1 ")
    assert "error" in child.log
    if Path("/proc/self/fd").exists():
        assert second == "[0, 1, 2]", "nothing of the server is open in it"


@pytest.mark.parametrize("warm", [True, False])
def test_exit_statuses_and_signals_are_those_of_any_process(warm):
    with python("import sys; sys.exit(3)", warm=warm) as child:
        assert child.popen.wait(60) == 3
    with python("import sys; sys.exit('no such thing')", warm=warm) as child:
        assert child.popen.wait(60) == 1
        assert "no such thing" in child.log
    with python("1 / 0", warm=warm) as child:
        assert child.popen.wait(60) == 1
        assert "ZeroDivisionError" in child.log
    with python("import signal; print('up'); signal.pause()", warm=warm) as child:
        wait_until(lambda: "up" in child.log)
        assert child.popen.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            child.popen.wait(0.01)
        child.kill_main()
        assert child.popen.returncode == -signal.SIGKILL
    with python("import signal; print('up'); signal.pause()", warm=warm) as child:
        wait_until(lambda: "up" in child.log)
        assert child.stop() == -signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


def test_what_runs_at_exit_runs():
    code = "import atexit, threading\natexit.register(print, 'bye')\nthreading.Thread(target=print, args=['thread']).start()"
    with python(code) as child:
        assert child.popen.wait(60) == 0
    assert child.log.splitlines()[-2:] == ["thread", "bye"]


def test_random_numbers_differ():
    numbers = set()
    for _ in range(3):
        with python("import random, numpy; print(random.random(), numpy.random.random())") as child:
            assert child.popen.wait(60) == 0
        numbers.update(child.log.split())
    assert len(numbers) == 6


def test_settings_are_those_of_the_environment():
    code = "import django; django.setup(); from django.conf import settings; print(settings.JOBROOM['SITE_URL'], settings.ADMINS)"
    said = []
    for number in range(2):
        env = {"SITE_URL": f"http://site{number}.example", "ADMINS": f"a{number}@example.org"}
        with Process("python", [sys.executable, "-c", code], env) as child:
            assert child.popen.wait(60) == 0, child.log
        said.append(child.log.strip())
    assert said == [
        f"http://site{number}.example [('a{number}@example.org', 'a{number}@example.org')]" for number in range(2)
    ]


def test_a_child_begins_with_django_set_up():
    code = "import sys; from django.apps import apps; print(apps.ready, 'image.celery' in sys.modules)"
    with python(code) as child:
        assert child.popen.wait(60) == 0
    assert child.log.strip() == "True True"


def test_an_environment_that_django_refuses_is_the_childs_own_error():
    with Process("python", [sys.executable, "-m", "django", "check"], {"DATABASE_URL": "nonsense"}) as child:
        assert child.popen.wait(60) == 1
    assert "DATABASE_URL" in child.log


def test_nothing_survives_the_process_that_asked():
    code = """
import os, sys
from django.conf import settings
from jobroom.testing.forked import servers
files = {"stdin": os.devnull, "stdout": os.devnull, "stderr": os.devnull, "cwd": str(settings.BASE_DIR)}
child = servers().spawn(["-c", "import signal; signal.pause()"], dict(os.environ), **files)
print(child.pid)
os.kill(os.getpid(), 9)
"""
    with Process("python", [sys.executable, "-c", code], warm=False) as parent:
        assert parent.popen.wait(120) == -signal.SIGKILL, parent.log
    child = int(parent.log.split()[-1])
    wait_until(lambda: not is_there(child), 60, "the child ends with the tests that wanted it")


def is_there(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
