"""Django settings. The environment is read through `image.env`; docs/reference/settings.md lists every option."""

import re

from celery.schedules import crontab

from image import env

BASE_DIR = env.ROOT
VAR = env.var_folder()
# Web and workers run as two users of one group, which shares the data folder.
VAR_GROUP = env.boolean("IMAGE_VAR_GROUP", default=False)

DEBUG = env.boolean("DEBUG", default=False)
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", env.LOOPBACK)
DEVELOPMENT = DEBUG or set(ALLOWED_HOSTS) <= set(env.LOOPBACK)
SECRET_KEY = env.secret_key(VAR, development=DEVELOPMENT)
PORT = env.integer("IMAGE_PORT", 8000)
SITE_URL = env.site("SITE_URL", f"http://127.0.0.1:{PORT}")
# Its path is the prefix below which a proxy shows the site; all addresses that we make begin with it.
FORCE_SCRIPT_NAME = env.prefix(SITE_URL)
SECURE = SITE_URL.startswith("https://")
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS", [env.origin(SITE_URL)] if SECURE else [])
# A site that people reach by https sends its cookies by nothing else, and says so to browsers for a while.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE
# What else lives at the same host does not get them.
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = LANGUAGE_COOKIE_PATH = FORCE_SCRIPT_NAME or "/"
SECURE_SSL_REDIRECT = env.boolean("IMAGE_SSL_REDIRECT", default=SECURE)
SECURE_HSTS_SECONDS = env.integer("IMAGE_HSTS_SECONDS", 30 * 24 * 3600 if SECURE else 0)
# Those who ask from the same machine or network speak http.
SECURE_REDIRECT_EXEMPT = [rf"^{re.escape(f'{FORCE_SCRIPT_NAME}/'[1:])}(healthz|readyz|metrics)$"]
# Named by the person who runs the proxy, which must set it on every request: else anyone could claim to come by https.
SECURE_PROXY_SSL_HEADER = env.proxy_header("IMAGE_PROXY_HEADER")
# Other names below the same domain are not ours to decide about.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

INSTALLED_APPS = [
    "image.apps.ImageAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "servestatic.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_celery_results",
    "django_celery_beat",
    "rest_framework",
    "drf_spectacular",
    "common",
    "jobroom",
    "jobroom.ui",
    "jobroom.live",
    "jobroom.jobs",
    "jobroom.audit",
    "jobroom.workflows",
    "jobroom.schedules",
    "jobroom.workers",
    "jobroom.queues",
    "jobroom.notifications",
]
# The example apps; with IMAGE_DEMO=0 their tasks, pages and schedules are gone.
if env.boolean("IMAGE_DEMO", default=True):
    INSTALLED_APPS += ["ontology", "biosample", "assets", "text", "demo"]
# Apps of yours whose tasks Jobroom runs; or single ones of the examples.
INSTALLED_APPS += [name for name in env.words("IMAGE_EXTRA_APPS", []) if name not in INSTALLED_APPS]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "jobroom.web.static_files.static_files",
    "jobroom.web.compression.Compression",
    "jobroom.web.middleware.storable_addresses",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "jobroom.jobs.time_zones.viewer_zone",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "jobroom.web.middleware.content_security_policy",
    "jobroom.web.middleware.refusals",
    "jobroom.web.middleware.wrong_methods",
]

ROOT_URLCONF = "image.urls"
ASGI_APPLICATION = "image.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {"default": env.database(VAR)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
AUTHENTICATION_BACKENDS = ["jobroom.jobs.login_limits.LoginLimit", "django.contrib.auth.backends.ModelBackend"]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "jobroom:jobs:overview"
LOGOUT_REDIRECT_URL = "login"

LANGUAGE_CODE = "en"
TIME_ZONE = env.text("TIME_ZONE", "UTC")
USE_I18N = True
USE_TZ = True

STATIC_URL = f"{FORCE_SCRIPT_NAME}/static/"
STATIC_ROOT = env.text("IMAGE_STATIC_ROOT", str(VAR / "static"))
STATICFILES_DIRS = [BASE_DIR / "static"]
SERVESTATIC_USE_FINDERS = not env.text("IMAGE_STATIC_ROOT")
MEDIA_ROOT = VAR / "files"

ADMINS = env.people("ADMINS")
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "jobroom@localhost")
SERVER_EMAIL = DEFAULT_FROM_EMAIL
_EMAIL = env.email(VAR)
# What sends a mail in the end; EMAIL_BACKEND puts it into the queue before that.
EMAIL_TRANSPORT = _EMAIL.pop("EMAIL_TRANSPORT")
globals().update(_EMAIL)
EMAIL_TIMEOUT = 10

REDIS_URL = env.redis_url(VAR)
# Without an address `manage.py up` runs a server of its own.
EMBEDDED_REDIS = not env.text("REDIS_URL")

# The options of Jobroom, where they differ from its defaults; docs/reference/settings.md lists them.
JOBROOM = {
    "REDIS_URL": REDIS_URL,
    "REDIS_PREFIX": "image:",
    # `manage.py up` starts one worker for each.
    "QUEUES": env.words("IMAGE_QUEUES", ["default", "ml", "email", "heavy"]),
    # On these each person has a turn after the other, no matter who sent how much before.
    "FAIR_QUEUES": env.words("IMAGE_FAIR_QUEUES", []),
    "SITE_URL": SITE_URL,
    "EMAIL_TRANSPORT": EMAIL_TRANSPORT,
    # Who may read /metrics besides staff: those who have the token, or everyone.
    "METRICS_TOKEN": env.text("METRICS_TOKEN"),
    "METRICS_OPEN": env.boolean("METRICS_OPEN", default=False),
    # Spans for OpenTelemetry, and where the page of a job finds its trace.
    "TRACING": env.boolean("TRACING", default=False),
    "TRACE_URL": env.text("TRACE_URL"),
}

# Django's own tasks (`@task`) run as jobs too, where Django or its backport has them.
TASKS = {"default": {"BACKEND": "jobroom.backend.JobroomBackend", "QUEUES": JOBROOM["QUEUES"]}}

# The archive's Unified Submissions Interface; without a user nothing is asked of it.
BIOSAMPLE_USI_URL = env.text("USI_URL", "https://submission-test.ebi.ac.uk")
BIOSAMPLE_USI_AUTH_URL = env.text("USI_AUTH_URL", "https://explore.api.aai.ebi.ac.uk/auth")
BIOSAMPLE_USI_USER = env.text("USI_USER")
BIOSAMPLE_USI_PASSWORD = env.text("USI_PASSWORD")

# A file of labelled messages that grows; from it the spam detector is trained again each week.
TEXT_TRAINING_FILE = env.text("TEXT_TRAINING_FILE")

# Celery --------------------------------------------------------------------------------------------------------------
CELERY_BROKER_URL = env.text("CELERY_BROKER_URL", REDIS_URL)
CELERY_RESULT_BACKEND = f"jobroom.celery.results:ResultBackend+{REDIS_URL}"
CELERY_RESULT_EXPIRES = 24 * 3600
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_RESULT_SERIALIZER = "json"
CELERY_TIMEZONE = TIME_ZONE
CELERY_TASK_DEFAULT_QUEUE = "default"
# Tasks that need much memory or time have a queue, and so a worker, of their own.
CELERY_TASK_ROUTES = {
    "assets.*": {"queue": "heavy"},
    "Process asset": {"queue": "heavy"},
    "text.*": {"queue": "ml"},
    "detect_spam": {"queue": "ml"},
    "Classify messages": {"queue": "ml"},
    "Train spam detector": {"queue": "ml"},
    "Retrain spam detector": {"queue": "ml"},
    "Find near-duplicates": {"queue": "ml"},
    "ontology.load_vocabulary": {"queue": "heavy"},
}
# A mail server that is slow holds up mails alone.
if "email" in JOBROOM["QUEUES"]:
    CELERY_TASK_ROUTES["jobroom.notifications.*"] = {"queue": "email"}
# A message that no worker can run ends as a failed job and a dead letter, and never takes its worker along.
CELERY_WORKER_CONSUMER = "jobroom.celery.consumer:Consumer"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
_BROKER_IS_REDIS = CELERY_BROKER_URL.startswith(("redis", "sentinel", "valkey"))
# A worker holds nothing but what it runs, so a killed one leaves the rest in the queue for others. Other brokers give
# back by themselves what a killed worker held, and Celery has this for Redis alone.
CELERY_WORKER_DISABLE_PREFETCH = _BROKER_IS_REDIS
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# Only has an effect on tasks that say acks_late, that is: "I may run twice".
CELERY_TASK_REJECT_ON_WORKER_LOST = True
# What each of these means here, and why it is so: docs/decisions/0083-celerys-own-settings.md.
CELERY_TASK_RETRY_ON_WORKER_LOST = False
CELERY_TASK_ACKS_ON_FAILURE = True
CELERY_TASK_ACKS_ON_TIMEOUT = True
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 0.0
CELERY_WORKER_ENABLE_SOFT_SHUTDOWN_ON_IDLE = False
CELERY_WORKER_ETA_TASK_LIMIT = 1000
CELERY_WORKER_POOL_START_METHOD = "fork"
CELERY_BROKER_POOL_ACQUIRE_TIMEOUT = 10.0
if _BROKER_IS_REDIS:
    # Kombu's redelivery by age is switched off (`jobroom.workers.broker`): what a worker held that vanished is given back within a
    # minute by `jobroom.workers.rescue`. The time-out here is for the brokers' programs of others that share the queues.
    # Without a time-out of the socket a publish on a dead connection would wait for ever.
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "visibility_timeout": 10 * 365 * 24 * 3600,
        "socket_timeout": 10,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
    }
elif CELERY_BROKER_URL.startswith(("amqp", "pyamqp")):
    # A job counts as sent when RabbitMQ says that it has the message.
    CELERY_BROKER_TRANSPORT_OPTIONS = {"confirm_publish": True, "write_timeout": 30}
# A busy machine may need long to fork a pool process; Celery's four seconds would kill it and try again for ever.
CELERY_WORKER_PROC_ALIVE_TIMEOUT = 60
CELERY_BEAT_SCHEDULER = "jobroom.schedules.scheduler:Scheduler"
CELERY_BEAT_SCHEDULE = {
    "Clear sessions": {"task": "image.celery.clearsessions", "schedule": crontab(hour=12, minute=0)},
    "Clean up old jobs": {"task": "jobroom.jobs.cleanup_jobs", "schedule": crontab(hour=3, minute=15)},
    "Clean up old mails": {"task": "jobroom.notifications.cleanup_mails", "schedule": crontab(hour=4, minute=0)},
    "Clean up old workflows": {"task": "jobroom.workflows.cleanup", "schedule": crontab(hour=3, minute=5)},
    "Clean up old results": {"task": "jobroom.jobs.cleanup_results", "schedule": crontab(hour=3, minute=45)},
}
if "biosample" in INSTALLED_APPS:
    CELERY_BEAT_SCHEDULE |= {
        "Fetch USI status": {"task": "Fetch USI status", "schedule": crontab(minute="*/15")},
        "Annotate All": {"task": "Annotate All", "schedule": crontab(day_of_week="sunday", hour=0, minute=0)},
    }
if TEXT_TRAINING_FILE and "text" in INSTALLED_APPS:
    CELERY_BEAT_SCHEDULE["Retrain spam detector"] = {
        "task": "Retrain spam detector",
        "schedule": crontab(hour=2, minute=0, day_of_week="sun"),
    }

LOG_LEVEL = env.text("LOG_LEVEL", "INFO")
LINES_OF_JOBS = "DEBUG" if LOG_LEVEL.upper() == "DEBUG" else "WARNING"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"job": {"()": "jobroom.logs.JobFilter"}, "probes": {"()": "jobroom.logs.ProbeFilter"}},
    "formatters": {
        "line": {"()": "jobroom.logs.LineFormatter", "format": "%(asctime)s %(levelname)s %(name)s%(job)s %(message)s"}
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["job"]}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        # The server's own handler would print each error a second time.
        "django": {"handlers": [], "propagate": True},
        "django.request": {"filters": ["probes"]},
        # Through our formatter, like all others; each page's address is not logged.
        "uvicorn": {"handlers": [], "propagate": True},
        "uvicorn.access": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},  # one line a request otherwise
        # That a job was received and has succeeded is in the history; LOG_LEVEL=DEBUG brings the lines back.
        "celery.worker.strategy": {"level": LINES_OF_JOBS},
        "celery.app.trace": {"level": LINES_OF_JOBS},
    },
}

REST_FRAMEWORK = {
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    # The first one decides that a request without any is answered 401, and not 403.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "jobroom.jobs.authentication.WebTokenAuthentication",
        "jobroom.jobs.authentication.ApiTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["jobroom.jobs.api.parsers.BoundedJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "jobroom.jobs.api.problems.handler",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
# A change of the password ends all tokens. Where clocks differ, or one is set back, a new token is from a moment to come:
# some seconds of that are no reason to refuse it.
SIMPLE_JWT = {"CHECK_REVOKE_TOKEN": True, "LEEWAY": 10}
SPECTACULAR_SETTINGS = {
    "TITLE": "Jobroom",
    "DESCRIPTION": "Launch background jobs, watch them, get their results.",
    "VERSION": "1",
    "SERVE_PUBLIC": True,
    "SCHEMA_PATH_PREFIX_INSERT": FORCE_SCRIPT_NAME,
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "JobState": "jobroom.jobs.models.State",
        "WorkflowState": "jobroom.workflows.models.State",
        "PausedKind": "jobroom.celery.pauses.KINDS",
        "MailState": "jobroom.notifications.models.State",
        "FailureState": "jobroom.jobs.failure_models.GroupState",
    },
}
