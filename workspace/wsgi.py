"""The entry for web servers."""

import gc
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "workspace.settings")
# Settings pool connections and limit statements for pages, not for commands and tasks.
os.environ["WEB_PROCESS"] = "1"

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()

# What is loaded by now stays: the garbage collector need not look through it again while people wait.
gc.collect()
gc.freeze()
