"""Settings of the dashboard, with its times told and three pages that only a benchmark has."""

from workspace import settings
from workspace.settings import *  # noqa: F403 (settings are a module of names)

MIDDLEWARE = ["bench.site.timing.TimingMiddleware", *settings.MIDDLEWARE]
ROOT_URLCONF = "bench.site.ours_urls"
