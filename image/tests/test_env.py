"""The environment is parsed, and a wrong value names its variable."""

import stat

import pytest
from django.core.exceptions import ImproperlyConfigured

from image import env


@pytest.mark.parametrize(("text", "value"), [("1", True), ("yes", True), ("OFF", False), ("0", False), ("", True)])
def test_truth_values(monkeypatch, text, value):
    monkeypatch.setenv("X_FLAG", text)
    assert env.boolean("X_FLAG", default=True) is value


def test_a_wrong_truth_value_names_the_variable(monkeypatch):
    monkeypatch.setenv("X_FLAG", "perhaps")
    with pytest.raises(ImproperlyConfigured, match=r"X_FLAG='perhaps'"):
        env.boolean("X_FLAG", default=True)


def test_a_wrong_number_names_the_variable(monkeypatch):
    monkeypatch.setenv("X_PORT", "eighty")
    with pytest.raises(ImproperlyConfigured, match=r"X_PORT='eighty' is not a whole number"):
        env.integer("X_PORT", 1)


def test_words_lose_their_blanks(monkeypatch):
    monkeypatch.setenv("X_WORDS", "a, b,,c ")
    assert env.words("X_WORDS", []) == ["a", "b", "c"]


def test_people_become_pairs(monkeypatch):
    monkeypatch.setenv("X_ADMINS", '"Lovelace, Ada" <ada@example.org>, bob@example.org')
    assert env.people("X_ADMINS") == [("Lovelace, Ada", "ada@example.org"), ("bob@example.org", "bob@example.org")]


def test_an_address_without_at_is_refused(monkeypatch):
    monkeypatch.setenv("X_ADMINS", "ada")
    with pytest.raises(ImproperlyConfigured, match="X_ADMINS"):
        env.people("X_ADMINS")


def test_sqlite_is_the_default_and_is_tuned(monkeypatch, tmp_path):
    monkeypatch.delenv("DATABASE_URL", raising=False)
    entry = env.database(tmp_path)
    assert entry["NAME"] == str(tmp_path / "db.sqlite3")
    assert entry["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert "journal_mode=WAL" in entry["OPTIONS"]["init_command"]


def test_postgres_keeps_its_connections(monkeypatch, tmp_path):
    monkeypatch.setenv("DATABASE_URL", "postgres://ada:s%40cret@db:5433/image")
    entry = env.database(tmp_path)
    assert (entry["PASSWORD"], entry["PORT"], entry["CONN_HEALTH_CHECKS"]) == ("s@cret", 5433, True)


@pytest.mark.parametrize("url", ["nonsense", "mysql://u:p@h/n", "postgres://u:p@h:port/n"])
def test_a_wrong_database_names_the_variable(monkeypatch, tmp_path, url):
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL"):
        env.database(tmp_path)


def test_the_embedded_servers_address_is_found(monkeypatch, tmp_path):
    monkeypatch.delenv("REDIS_URL", raising=False)
    assert env.redis_url(tmp_path) == "redis://127.0.0.1:6379/0"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "redis-url").write_text("redis://:x@127.0.0.1:1/0\n")
    assert env.redis_url(tmp_path) == "redis://:x@127.0.0.1:1/0"
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere/3")
    assert env.redis_url(tmp_path) == "redis://elsewhere/3"


def test_the_secret_key_is_made_once_and_kept_private(monkeypatch, tmp_path):
    monkeypatch.delenv("SECRET_KEY", raising=False)
    var = tmp_path / "var"
    key = env.secret_key(var, development=True)
    assert len(key) > 50
    assert env.secret_key(var, development=True) == key
    assert stat.S_IMODE((var / "secret-key").stat().st_mode) == 0o600
    assert [path.name for path in var.iterdir()] == ["secret-key"]


def test_production_must_name_its_secret_key(monkeypatch, tmp_path):
    monkeypatch.delenv("SECRET_KEY", raising=False)
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY is missing"):
        env.secret_key(tmp_path, development=False)


def test_an_unwritable_data_folder_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("SECRET_KEY", raising=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(ImproperlyConfigured, match="IMAGE_VAR"):
        env.secret_key(tmp_path / "file" / "var", development=True)


def test_mail_goes_to_files_unless_a_server_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("EMAIL_URL", raising=False)
    assert env.email(tmp_path)["EMAIL_FILE_PATH"] == str(tmp_path / "mail")
    monkeypatch.setenv("EMAIL_URL", "smtp+tls://ada:pw@mail.example.org:587")
    found = env.email(tmp_path)
    assert (found["EMAIL_HOST"], found["EMAIL_PORT"], found["EMAIL_USE_TLS"]) == ("mail.example.org", 587, True)


@pytest.mark.parametrize(("queued", "backend"), [("", "jobroom.notifications.backends.QueuedBackend"), ("0", "smtp")])
def test_mail_goes_through_the_queue_unless_set_otherwise(monkeypatch, tmp_path, queued, backend):
    monkeypatch.setenv("EMAIL_URL", "smtp://mail.example.org:25")
    monkeypatch.setenv("EMAIL_QUEUED", queued)
    found = env.email(tmp_path)
    assert backend in found["EMAIL_BACKEND"]
    assert found["EMAIL_TRANSPORT"] == "django.core.mail.backends.smtp.EmailBackend"
