"""The ground of every test: a throw-away PostgreSQL, folders of its own, and people of each role."""

import atexit
import os
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

import hypothesis
import psycopg
import pytest

from tests import stores
from workspace import localpg

if "workspace.settings" in sys.modules:
    pytest.exit("DJANGO_SETTINGS_MODULE is set, so the tests would run on its database: unset it.", 4)

# Settings are read once, so the environment comes before Django does.
HOME = Path(tempfile.mkdtemp(prefix="workspace-assets-"))
OURS = (
    "ALLOWED_HOSTS AWS_DEFAULT_REGION AWS_REGION DASHBOARD_SCHEMA DEMO_PASSWORD HOST LIBRARY_STORE PORT"
    " PUBLIC_URL PURGE_GRACE_HOURS READ_ONLY READ_REPLICA_URL REQUEST_TIMEOUT S3_ENDPOINT_URL S3_PUBLIC_URL"
    " SECRET_KEY TIME_ZONE TRUSTED_PROXIES UPSTREAM_TABLES WEB_PROCESS WEB_PROCESSES WORKSPACE_STORE"
)
for name in OURS.split():
    os.environ.pop(name, None)
os.environ["DJANGO_SETTINGS_MODULE"] = "workspace.settings"
os.environ["DATA_DIR"] = str(HOME / "data")
(HOME / "data" / "static").mkdir(parents=True)
os.environ["DEBUG"] = "1"
os.environ["DATABASE_URL"] = localpg.ensure(HOME / "postgres", "workspace", throwaway=True)
# Here nobody has to wait long for a lock: a test that would wait for ever fails instead.
with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
    server.execute("ALTER SYSTEM SET lock_timeout = '60s'")
    server.execute("ALTER SYSTEM SET idle_in_transaction_session_timeout = '200s'")
    server.execute("SELECT pg_reload_conf()")
if stores.ON_S3:
    stores.start_server()
import django.conf  # noqa: E402

django.conf.settings.DATABASES  # noqa: B018 (loads them: pytest-django sets up what is loaded by now)
atexit.register(shutil.rmtree, HOME, ignore_errors=True)


# A machine that has much else to do is no reason to fail; fixtures are shared by examples knowingly.
TOLERATED = [hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.function_scoped_fixture]
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=TOLERATED)
hypothesis.settings.load_profile("patient")


def pytest_configure(config: pytest.Config) -> None:
    # With -n, this process only hands out tests: each that runs them makes such a ground of its own.
    if config.getoption("numprocesses", None):
        for name in ("DJANGO_SETTINGS_MODULE", "DATA_DIR", "DATABASE_URL", "DEBUG"):
            del os.environ[name]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests last: Playwright leaves an event loop running, which Django's ORM refuses to work in.

    Of their files the short ones last, so that no process has a long one to itself in the end.
    """
    browser = Counter(item.path for item in items if "browser" in item.path.parts)
    items.sort(key=lambda item: (item.path in browser, -browser[item.path]))


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """Remembers what the migrations wrote, and brings it back after tests that commit.

    Django would truncate each table and send post_migrate, which takes thirty times as long.
    """
    from django.db import connection
    from django.test import TransactionTestCase

    from tests.cleaning import clean

    with django_db_blocker.unblock(), connection.cursor() as cursor:
        tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
        cursor.execute(
            " UNION ALL ".join(f"SELECT '{table}' WHERE EXISTS (TABLE {table})" for table in tables)
        )
        kept = [table for (table,) in cursor.fetchall()]
        cursor.execute("CREATE SCHEMA migrated")
        for table in kept:
            cursor.execute(f"CREATE TABLE migrated.{table} AS TABLE {table}")
    steps = ["SET session_replication_role = replica"]  # no triggers, foreign keys among them
    steps += [f"DELETE FROM {table}" for table in tables]
    steps += [f"INSERT INTO {table} TABLE migrated.{table}" for table in kept]
    steps += ["SET session_replication_role = DEFAULT"]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda test: clean("; ".join(steps)))
        yield


@pytest.fixture(autouse=True)
def _fresh_cache():
    from django.core.cache import cache

    from assets import shapes

    cache.clear()
    shapes._kept.cache_clear()


@pytest.fixture(autouse=True)
def _patient_statements(monkeypatch):
    """Of a transaction, as tests are, nothing would be left when a busy machine makes one take too long."""
    monkeypatch.setattr("assets.facets.TIME_LIMIT", 60.0)
    monkeypatch.setattr("assets.bulk.LOOKED_UP_IN", 60.0)


@pytest.fixture
def store_folders(settings, tmp_path):
    """The stores of this test; "workspace" and "library" are in them."""
    settings.STORAGES = stores.storages_in(settings, tmp_path)
    if stores.ON_S3:
        return stores.StoreFolders(tmp_path)
    for alias in stores.ALIASES:
        (tmp_path / alias).mkdir()
    return tmp_path


@pytest.fixture
def fail_removing(monkeypatch):
    """Has the stores fail to remove files with a word in their names; with None, no longer.

    How, a folder is told as a function, and an S3 server as what it is to answer.
    """
    from django.core.files.storage import FileSystemStorage

    plainly = FileSystemStorage.delete

    def fail(word, how):
        if stores.ON_S3:
            from tests import s3

            stores.server.faults[:] = [] if how is None else [s3.removal(word, *how)]
            return

        def delete(storage, name):
            if word in name:
                how(lambda name: plainly(storage, name), name)
            else:
                plainly(storage, name)

        monkeypatch.setattr(FileSystemStorage, "delete", plainly if how is None else delete)

    yield fail
    if stores.ON_S3:
        stores.server.faults.clear()


@pytest.fixture
def deny_removing(fail_removing):
    def refuse(plainly, name):
        raise PermissionError(13, "Permission denied")

    return lambda word: fail_removing(word, ("AccessDenied",) if stores.ON_S3 else refuse)


@pytest.fixture(autouse=True)
def _empty_buckets():
    yield
    if stores.ON_S3:
        stores.empty_buckets()


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
