"""Django settings. The environment is read through `image.env`; docs/reference/settings.md lists every option."""

from celery.schedules import crontab

from image import env

BASE_DIR = env.ROOT
VAR = env.var_folder()

DEBUG = env.boolean("DEBUG", default=False)
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", env.LOOPBACK)
DEVELOPMENT = DEBUG or set(ALLOWED_HOSTS) <= set(env.LOOPBACK)
SECRET_KEY = env.secret_key(VAR, development=DEVELOPMENT)
PORT = env.integer("IMAGE_PORT", 8000)
SITE_URL = env.text("SITE_URL", f"http://127.0.0.1:{PORT}")
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS", [SITE_URL] if SITE_URL.startswith("https://") else [])

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
    "live",
    "jobs",
    "workflows",
    "schedules",
    "workers",
    "notifications",
    "ontology",
    "biosample",
    "assets",
    "text",
]
if env.boolean("IMAGE_DEMO", default=True):
    INSTALLED_APPS.append("demo")
# Apps of yours whose tasks the control room runs.
INSTALLED_APPS += env.words("IMAGE_EXTRA_APPS", [])

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "common.middleware.static_files",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "common.middleware.content_security_policy",
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
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "login"

LANGUAGE_CODE = "en"
TIME_ZONE = env.text("TIME_ZONE", "UTC")
USE_I18N = True
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = env.text("IMAGE_STATIC_ROOT", str(VAR / "static"))
STATICFILES_DIRS = [BASE_DIR / "static"]
SERVESTATIC_USE_FINDERS = not env.text("IMAGE_STATIC_ROOT")
MEDIA_ROOT = VAR / "files"

ADMINS = env.people("ADMINS")
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "control-room@localhost")
SERVER_EMAIL = DEFAULT_FROM_EMAIL
globals().update(env.email(VAR))
EMAIL_TIMEOUT = 10

REDIS_URL = env.redis_url(VAR)
# Without an address `manage.py up` runs a server of its own.
EMBEDDED_REDIS = not env.text("REDIS_URL")

# The archive's Unified Submissions Interface; without a user nothing is asked of it.
BIOSAMPLE_USI_URL = env.text("USI_URL", "https://submission-test.ebi.ac.uk")
BIOSAMPLE_USI_AUTH_URL = env.text("USI_AUTH_URL", "https://explore.api.aai.ebi.ac.uk/auth")
BIOSAMPLE_USI_USER = env.text("USI_USER")
BIOSAMPLE_USI_PASSWORD = env.text("USI_PASSWORD")

# A file of labelled messages that grows; from it the spam detector is trained anew each week.
TEXT_TRAINING_FILE = env.text("TEXT_TRAINING_FILE")

# Celery --------------------------------------------------------------------------------------------------------------
CELERY_BROKER_URL = env.text("CELERY_BROKER_URL", REDIS_URL)
CELERY_RESULT_BACKEND = f"common.results:ResultBackend+{REDIS_URL}"
CELERY_RESULT_EXPIRES = 24 * 3600
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_RESULT_SERIALIZER = "json"
CELERY_TIMEZONE = TIME_ZONE
CELERY_TASK_DEFAULT_QUEUE = "default"
# The queues that must have a worker for the control room to be ready; `manage.py up` starts one worker for each.
QUEUES = env.words("IMAGE_QUEUES", ["default", "ml", "email", "heavy"])
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
if "email" in QUEUES:
    CELERY_TASK_ROUTES["notifications.*"] = {"queue": "email"}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
_BROKER_IS_REDIS = CELERY_BROKER_URL.startswith(("redis", "sentinel", "valkey"))
# A worker holds nothing but what it runs, so a killed one leaves the rest in the queue for others. Other brokers give
# back by themselves what a killed worker held, and Celery has this for Redis alone.
CELERY_WORKER_DISABLE_PREFETCH = _BROKER_IS_REDIS
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# Only has an effect on tasks that say acks_late, that is: "I may run twice".
CELERY_TASK_REJECT_ON_WORKER_LOST = True
if _BROKER_IS_REDIS:
    # Redelivery of what a dead worker held is done by `workers.rescue` within a minute; the broker's own time-out is the
    # last resort and must stay above the longest job, or that job runs twice.
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "visibility_timeout": env.integer("IMAGE_VISIBILITY_TIMEOUT", 24 * 3600),
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
    }
elif CELERY_BROKER_URL.startswith(("amqp", "pyamqp")):
    # A job counts as sent when RabbitMQ says that it has the message.
    CELERY_BROKER_TRANSPORT_OPTIONS = {"confirm_publish": True}
# A busy machine may need long to fork a pool process; Celery's four seconds would kill it and try again for ever.
CELERY_WORKER_PROC_ALIVE_TIMEOUT = 60
CELERY_BEAT_SCHEDULER = "schedules.scheduler:Scheduler"
CELERY_BEAT_SCHEDULE = {
    "Clear sessions": {"task": "image.celery.clearsessions", "schedule": crontab(hour=12, minute=0)},
    "Clean up old jobs": {"task": "jobs.cleanup_jobs", "schedule": crontab(hour=3, minute=15)},
    "Clean up old mails": {"task": "notifications.cleanup_mails", "schedule": crontab(hour=4, minute=0)},
    "Clean up old workflows": {"task": "workflows.cleanup", "schedule": crontab(hour=3, minute=5)},
    "Clean up old results": {"task": "jobs.cleanup_results", "schedule": crontab(hour=3, minute=45)},
    "Fetch USI status": {"task": "Fetch USI status", "schedule": crontab(minute="*/15")},
    "Annotate All": {"task": "Annotate All", "schedule": crontab(day_of_week="sunday", hour=0, minute=0)},
}
if TEXT_TRAINING_FILE:
    CELERY_BEAT_SCHEDULE["Retrain spam detector"] = {
        "task": "Retrain spam detector",
        "schedule": crontab(hour=2, minute=0, day_of_week="sun"),
    }

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"job": {"()": "common.logs.JobFilter"}, "probes": {"()": "common.logs.ProbeFilter"}},
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s%(job)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["job"]}},
    "root": {"handlers": ["console"], "level": env.text("LOG_LEVEL", "INFO")},
    # The server's own handler would print each error a second time.
    "loggers": {
        "django": {"handlers": [], "propagate": True},
        "django.request": {"filters": ["probes"]},
        "httpx": {"level": "WARNING"},  # one line a request otherwise
    },
}

REST_FRAMEWORK = {
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    # The first one decides that a request without any is answered 401, and not 403.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework_simplejwt.authentication.JWTAuthentication",
        "jobs.authentication.ApiTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["jobs.api.parsers.BoundedJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "jobs.api.problems.handler",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Control room",
    "DESCRIPTION": "Launch background jobs, watch them, get their results.",
    "VERSION": "1",
    "SERVE_PUBLIC": True,
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {"JobState": "jobs.models.State"},
}
