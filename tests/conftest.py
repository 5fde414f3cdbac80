"""The ground of every test: a throw-away PostgreSQL, folders of its own, and people of each role."""

import atexit
import os
import shutil
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import pytest

from workspace import localpg

if "workspace.settings" in sys.modules:
    pytest.exit("DJANGO_SETTINGS_MODULE is set, so the tests would run on its database: unset it.", 4)

# Settings are read once, so the environment comes before Django does.
HOME = Path(tempfile.mkdtemp(prefix="workspace-assets-"))
OURS = (
    "ALLOWED_HOSTS DASHBOARD_SCHEMA DEMO_PASSWORD HOST PORT"
    " PURGE_GRACE_HOURS REQUEST_TIMEOUT SECRET_KEY TIME_ZONE UPSTREAM_TABLES WEB_PROCESS"
)
for name in OURS.split():
    os.environ.pop(name, None)
os.environ["DJANGO_SETTINGS_MODULE"] = "workspace.settings"
os.environ["DATA_DIR"] = str(HOME / "data")
(HOME / "data" / "static").mkdir(parents=True)
os.environ["DEBUG"] = "1"
os.environ["DATABASE_URL"] = localpg.ensure(HOME / "postgres", "workspace", throwaway=True)
import django.conf  # noqa: E402
from django.db.models.signals import post_migrate  # noqa: E402

django.conf.settings.DATABASES  # noqa: B018 (loads them: pytest-django sets up what is loaded by now)
atexit.register(shutil.rmtree, HOME, ignore_errors=True)


def pytest_configure(config: pytest.Config) -> None:
    post_migrate.connect(_make_roles)
    # With -n, this process only hands out tests: each that runs them makes such a ground of its own.
    if config.getoption("numprocesses", None):
        for name in ("DJANGO_SETTINGS_MODULE", "DATA_DIR", "DATABASE_URL", "DEBUG"):
            del os.environ[name]


ROLES = ("0002_roles", "0005_roles_of_the_ledger", "0007_roles_of_saved_views")


def _make_roles(sender, using, **kwargs):
    """Tests that commit empty the database after them, the groups that the migrations made included."""
    from django.contrib.auth.models import Group, Permission

    for name in ROLES if sender.name == "django.contrib.auth" else ():
        for role, codenames in import_module(f"assets.migrations.{name}").ROLES.items():
            group, _ = Group.objects.using(using).get_or_create(name=role)
            group.permissions.add(*Permission.objects.using(using).filter(codename__in=codenames))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests last: Playwright leaves an event loop running, which Django's ORM refuses to work in."""
    items.sort(key=lambda item: "browser" in item.path.parts)


@pytest.fixture(autouse=True)
def _fresh_cache():
    from django.core.cache import cache

    cache.clear()


@pytest.fixture(autouse=True)
def _quick_passwords(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def _person(role):
    from django.contrib.auth.models import Group, User

    person = User.objects.create_user(role.lower(), password="a good password", is_staff=True)
    person.groups.add(Group.objects.get(name=role))
    return person


@pytest.fixture
def staff(db):
    return _person("Staff")


@pytest.fixture
def reviewer(db):
    return _person("Reviewers")


@pytest.fixture
def admin(db):
    return _person("Admins")


@pytest.fixture
def fetch(client, staff):
    """Fetches a page as Staff, and parses it."""
    from tests.html import Page

    client.force_login(staff)

    def fetch_page(url, **params):
        return Page(client.get(url, params))

    return fetch_page
