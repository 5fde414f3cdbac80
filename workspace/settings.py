"""The one settings file. The environment decides; README.md lists its variables."""

import os
import re
from datetime import timedelta
from pathlib import Path, PurePosixPath
from zoneinfo import available_timezones

import dj_database_url
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from workspace import environment as env
from workspace import localpg, stores

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = env.folder("DATA_DIR", BASE_DIR / "var")

# --- The process -----------------------------------------------------------

DEBUG = env.flag("DEBUG")
HOST = env.text("HOST", "127.0.0.1")
PORT = env.integer("PORT", 8000, minimum=1, maximum=65535)
ALLOWED_HOSTS = env.items("ALLOWED_HOSTS", f"localhost,127.0.0.1,[::1],{HOST}")
WEB_PROCESS = env.flag("WEB_PROCESS")  # set by wsgi.py
WEB_PROCESSES = env.integer("WEB_PROCESSES", min(os.cpu_count() or 1, 4), minimum=1, maximum=64)

# How it is reached: TLS is spoken by a proxy, whose headers are believed only where one is declared.
PUBLIC_URL = env.web_address("PUBLIC_URL").lower()
_IS_HTTPS = PUBLIC_URL.startswith("https:")
PUBLIC_URL = PUBLIC_URL.removesuffix(":443" if _IS_HTTPS else ":80")  # as browsers write it
TRUSTED_PROXIES = env.integer("TRUSTED_PROXIES", int(_IS_HTTPS), minimum=0, maximum=9)
if _IS_HTTPS and not TRUSTED_PROXIES:
    raise ImproperlyConfigured("TRUSTED_PROXIES is 0, but PUBLIC_URL is https: a proxy has to speak TLS.")
if PUBLIC_URL:
    ALLOWED_HOSTS.append(re.sub(r"^https?://|:[0-9]+$", "", PUBLIC_URL))
    CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _IS_HTTPS
SECURE_HSTS_SECONDS = 30 * 24 * 3600 if _IS_HTTPS else 0

DATABASE_URL = env.text("DATABASE_URL")
READ_REPLICA_URL = env.text("READ_REPLICA_URL")
EMBEDDED = not DATABASE_URL
if READ_REPLICA_URL and EMBEDDED:
    raise ImproperlyConfigured("READ_REPLICA_URL is set and DATABASE_URL is not: name the primary as well.")

DEFAULT_SECRET_KEY = "insecure-key-for-development-only-insecure-key-for-development"  # noqa: S105


def _secret_key() -> str:
    key = env.text("SECRET_KEY")
    if not key and EMBEDDED and not DEBUG:
        # A run on the embedded server is a private one: a key of its own, kept beside its data.
        key = env.kept_secret(DATA_DIR / "secret_key")
    key = key or DEFAULT_SECRET_KEY
    if key == DEFAULT_SECRET_KEY and not DEBUG:
        raise ImproperlyConfigured(
            "SECRET_KEY is not set: choose 50 random characters, or develop with DEBUG=1."
        )
    return key


SECRET_KEY = _secret_key()

# --- The product's tables and ours -----------------------------------------

UPSTREAM_TABLES = env.choice("UPSTREAM_TABLES", "own", ("own", "existing"))
_EXISTING = UPSTREAM_TABLES == "existing"
READ_ONLY = env.flag("READ_ONLY")
DASHBOARD_SCHEMA = env.identifier("DASHBOARD_SCHEMA", "dashboard" if _EXISTING else "public")
if _EXISTING and DASHBOARD_SCHEMA == "public":
    raise ImproperlyConfigured("DASHBOARD_SCHEMA is 'public', where the product's tables are: name another.")
DATABASE_ROUTERS = ["workspace.routers.UpstreamRouter"]
if READ_REPLICA_URL:
    DATABASE_ROUTERS += ["workspace.routers.ReplicaRouter"]


REQUEST_TIMEOUT = env.integer("REQUEST_TIMEOUT", 10, minimum=1, maximum=600)  # seconds


# A peer that is cut off without a word is noticed within some 25 seconds, by either side: what it has locked
# is free then. Of a Unix socket the kernel tells at once, and these are ignored.
_NOTICE_LOSS = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,  # milliseconds
}
_SERVER_NOTICES_LOSS = (
    "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5"
    " -c tcp_keepalives_count=3 -c tcp_user_timeout=25000"
    " -c client_connection_check_interval=10s"  # also while a statement runs, or waits for a lock
)


def _database(name: str, url: str, *, patience: int = 10) -> dict:
    """What the URL says itself comes last, and wins; `patience` is in seconds, for a connection."""
    try:
        database = dj_database_url.parse(url)
    except ValueError:  # whose message may have a part of the password in it
        form = "postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters as %XX"
        raise ImproperlyConfigured(f"{name} is not understood: write {form}.") from None
    if database.get("ENGINE") != "django.db.backends.postgresql":
        raise ImproperlyConfigured(f"{name} must begin with postgres:// and name a PostgreSQL database.")
    # For statements that assets/prepared.py asks to be kept, as soon as they are made.
    waiting = _NOTICE_LOSS | {"connect_timeout": patience, "prepare_threshold": 0}
    options = database["OPTIONS"] = waiting | database.get("OPTIONS", {})
    # Where row-level security would hide rows, statements fail: to the dashboard, a row that it does not see
    # is one that has left, whose files may go.
    whole = f"-c search_path={','.join(_schemas())} -c row_security=off"
    parameters = [_SERVER_NOTICES_LOSS, options.get("options", ""), whole]
    if WEB_PROCESS:
        # A page never waits long for one query, and its queries are too small for parallel workers.
        limit = f"-c statement_timeout={REQUEST_TIMEOUT}s"
        parameters += [limit, "-c max_parallel_workers_per_gather=0", "-c jit=off"]
        options["pool"] = {"min_size": 1, "max_size": 16, "timeout": patience}
    options["options"] = " ".join(parameters).strip()
    return database


def _schemas() -> list[str]:
    return list(dict.fromkeys([DASHBOARD_SCHEMA, "public"]))


def _replica() -> dict:
    """Given up soon where it does not answer, since the primary does."""
    database = _database("READ_REPLICA_URL", READ_REPLICA_URL, patience=2)
    database["OPTIONS"]["options"] += " -c default_transaction_read_only=on"
    return database | {"TEST": {"MIRROR": "default"}}


_primary_url = DATABASE_URL or localpg.ensure(DATA_DIR / "postgres", "workspace")
DATABASES = {"default": _database("DATABASE_URL", _primary_url)}
if READ_REPLICA_URL:
    DATABASES["replica"] = _replica()
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- What the dashboard does ------------------------------------------------

PURGE_GRACE_HOURS = env.integer("PURGE_GRACE_HOURS", 24, minimum=0, maximum=24 * 365)
DEMO_PASSWORD = env.text("DEMO_PASSWORD")

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
_WORKSPACE = stores.place("WORKSPACE_STORE", DATA_DIR / "workspace")
_LIBRARY = stores.place("LIBRARY_STORE", DATA_DIR / "library")
_PREVIEWS = stores.Place("DATA_DIR", "", PurePosixPath(DATA_DIR / "previews"))
stores.refuse_overlap([_WORKSPACE, _LIBRARY, _PREVIEWS])
_STATIC_FILES = (
    "django.contrib.staticfiles.storage.StaticFilesStorage"
    if DEBUG
    else "whitenoise.storage.CompressedManifestStaticFilesStorage"
)
STORAGES = {
    "default": {"BACKEND": stores.FOLDER, "OPTIONS": {"location": DATA_DIR / "files"}},
    "workspace": _WORKSPACE.storage,
    "library": _LIBRARY.storage,
    "previews": _PREVIEWS.storage,
    "staticfiles": {"BACKEND": _STATIC_FILES},
}

# --- Django ------------------------------------------------------------------

INSTALLED_APPS = [
    "assets",  # before the admin, whose templates and commands it overrides
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_filters",
    "django_htmx",
    "csp",
    "axes",
    "procrastinate.contrib.django",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "workspace.middleware.ButtonsMiddleware",
    "workspace.middleware.ReadsAfterWritesMiddleware",
    "workspace.middleware.TimeLimitMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "workspace.urls"
WSGI_APPLICATION = "workspace.wsgi.application"
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
                "assets.read_only.context",
            ],
            "builtins": ["assets.templatetags.addresses"],
            "libraries": {"heroicons": "assets.templatetags.icons"},
        },
    },
    # Of lists alone: it renders sixty cards in a fifth of the time.
    {"BACKEND": "django.template.backends.jinja2.Jinja2", "DIRS": [BASE_DIR / "templates"]},
]

LANGUAGE_CODE = "en"
USE_I18N = False
TIME_ZONE = env.text("TIME_ZONE", "UTC")
if TIME_ZONE not in available_timezones():
    raise ImproperlyConfigured(f"TIME_ZONE is {TIME_ZONE!r}: write a name such as UTC or Europe/Prague.")

# --- Who may come in, and what a page may load -------------------------------

AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "workspace.auth.OneStatementBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "gallery"
LOGOUT_REDIRECT_URL = "login"

AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_CLIENT_IP_CALLABLE = "workspace.proxies.client_address"
AXES_LOCKOUT_TEMPLATE = "registration/locked.html"
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False

_MEDIA = [SELF, *sorted({place.browser_source for place in (_WORKSPACE, _LIBRARY)} - {""})]
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": _MEDIA,
        "media-src": _MEDIA,
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
DATA_UPLOAD_MAX_NUMBER_FIELDS = 20_100  # as many assets as may be ticked, and what goes with them
SESSION_ENGINE = "workspace.sessions"
SESSION_COOKIE_AGE = 14 * 24 * 3600

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "filters": {"refusals": {"()": "workspace.refusals.OnOneLine"}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "plain", "filters": ["refusals"]}
    },
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {"assets": {"level": "INFO"}, "workspace": {"level": "INFO"}},
}
