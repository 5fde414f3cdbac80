"""Benchmarks, in a folder and on an embedded server of their own.

Importing the package claims the folder and sets Django up, before anything needs its settings. The web
servers that a benchmark starts come with settings of bench.site, and set Django up themselves.
"""

import os
import sys
from pathlib import Path

import django

ROOT = Path(__file__).resolve().parent.parent
MARKER = "only-for-benchmarks"
# What would lead away from the folder, or change what is measured.
NOT_FOR_BENCHMARKS = (
    "ALLOWED_HOSTS",
    "DASHBOARD_SCHEMA",
    "DEBUG",
    "HOST",
    "LIBRARY_STORE",
    "PURGE_GRACE_HOURS",
    "READ_ONLY",
    "READ_REPLICA_URL",
    "UPSTREAM_TABLES",
    "WEB_PROCESS",
    "WORKSPACE_STORE",
)


def _claim_folder() -> Path:
    if os.environ.get("DATABASE_URL", "").strip():
        sys.exit("A benchmark empties its database, so it runs on no DATABASE_URL: unset it.")
    folder = Path(os.environ.get("DATA_DIR", "").strip() or ROOT / "var" / "bench").expanduser().absolute()
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).exists():
        sys.exit(f"A benchmark empties its folder, and {folder} has other things: name another in DATA_DIR.")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).touch()
    return folder


def _set_up() -> None:
    for name in NOT_FOR_BENCHMARKS:
        os.environ.pop(name, None)
    os.environ["DATA_DIR"] = str(DATA_DIR)
    os.environ["DJANGO_SETTINGS_MODULE"] = "workspace.settings"
    sys.path.insert(0, str(ROOT))
    django.setup()


DATA_DIR = _claim_folder()
if not os.environ.get("DJANGO_SETTINGS_MODULE", "").startswith("bench.site."):
    _set_up()
