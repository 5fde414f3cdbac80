"""Settings of Django's own admin over the same table: nothing of the dashboard but its models."""

from workspace import settings
from workspace.settings import *  # noqa: F403 (settings are a module of names)

STATEMENT_SECONDS = 60

MIDDLEWARE = [
    name for name in settings.MIDDLEWARE if name.startswith("django.") and "LoginRequired" not in name
]
ROOT_URLCONF = "bench.site.stock_urls"
PROCESSORS = settings.TEMPLATES[0]["OPTIONS"]["context_processors"]
TEMPLATES = [settings.TEMPLATES[0] | {"DIRS": [], "OPTIONS": {"context_processors": PROCESSORS}}]
DATABASES = {"default": settings.DATABASES["default"].copy()}
# Pooled connections as ours, but the database's own choices of parallel workers and compilation.
DATABASES["default"]["OPTIONS"] = settings.DATABASES["default"]["OPTIONS"] | {
    "options": f"-c application_name=stock -c statement_timeout={STATEMENT_SECONDS}s"
}
