"""The world that the tests of rights share."""

import copy
import logging

import pytest
from django.contrib.auth import get_user, middleware
from django.core.cache import cache
from django.core.handlers.base import BaseHandler
from django.template import Template
from django.test import override_settings

from image.tests import world as making
from jobroom import redis

# Thousands of requests by the same few sessions: to read each from its table every time is a third of their cost.
SESSIONS = "django.contrib.sessions.backends.cached_db"


@pytest.fixture(autouse=True)
def _pages_alone(monkeypatch):
    """Have pages written out as at a real site: for tests Django keeps a copy of each context of each template."""
    monkeypatch.setattr(Template, "_render", lambda page, context: page.nodelist.render(context))


@pytest.fixture(autouse=True)
def _patient_probes(monkeypatch):
    """Take Redis for silent no sooner than other tests do: the machine may have other work for half a second."""
    monkeypatch.setattr("jobroom.workers.probes.PATIENCE", 60.0)


@pytest.fixture(autouse=True)
def _found_once(monkeypatch):
    """Look up once per test which view an address leads to: each is asked by ten people, with several methods."""
    found, resolve_request = {}, BaseHandler.resolve_request

    def resolved(handler, request):
        if hasattr(request, "urlconf"):
            return resolve_request(handler, request)
        if request.path_info not in found:
            found[request.path_info] = resolve_request(handler, request)
        request.resolver_match = found[request.path_info]
        return request.resolver_match

    monkeypatch.setattr(BaseHandler, "resolve_request", resolved)


@pytest.fixture(scope="module")
def made_world(module_transaction, tmp_path_factory):
    """Return a folder for files, and the world whose rows the tests of a file share."""
    folder = tmp_path_factory.mktemp("world")
    redis.client().flushdb()
    with override_settings(MEDIA_ROOT=folder, SESSION_ENGINE=SESSIONS):
        return folder, making.build()


@pytest.fixture
def world(made_world, db, settings):
    """Return people of all roles, and one of everything that belongs to someone."""
    settings.MEDIA_ROOT, made = made_world
    settings.SESSION_ENGINE = SESSIONS
    cache.clear()  # sessions are as they were made
    redis.client().flushdb()
    yield made.fresh()
    redis.client().flushdb()


@pytest.fixture
def quiet():
    """Have Django say nothing of the requests that are refused, of which there are thousands."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def known(monkeypatch):
    """Look up once who has logged in, for tests of which no request changes who they are: what it writes is taken back."""
    people = {}

    def known_user(request):
        session = request.session.session_key
        if session not in people:
            people[session] = get_user(request)
        return copy.copy(people[session])  # without what an earlier request has remembered on it

    monkeypatch.setattr(middleware, "get_user", known_user)


@pytest.fixture
def boss(world, known, quiet):
    """Return the browser of the superuser, of whom no test with it changes anything."""
    return world.clients["boss"]


@pytest.fixture
def empty_redis():
    """Begin with nothing in Redis."""
    redis.client().flushdb()
