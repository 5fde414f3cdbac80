"""The environment decides, and a wrong value stops the start with its sentence."""

import ast
import os
import stat
import subprocess
import sys
from ast import literal_eval
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from tests import programs
from workspace import environment as env

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = (
    "ALLOWED_HOSTS DASHBOARD_SCHEMA DATABASE_URL DEBUG SECRET_KEY TIME_ZONE UPSTREAM_TABLES WEB_PROCESS"
    " AWS_DEFAULT_REGION AWS_REGION LIBRARY_STORE READ_REPLICA_URL S3_ENDPOINT_URL S3_PUBLIC_URL"
    " WORKSPACE_STORE"
)
A_KEY = "a key that someone chose for a test, and nobody uses elsewhere"


def start(folder, *command, **variables):
    """A start of the dashboard with these variables, and none of the tests' own but its database."""
    left_out = {*SETTINGS.split(), "HOST", "PORT", "PURGE_GRACE_HOURS", "DEMO_PASSWORD", "PUBLIC_URL"}
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    environment |= {"DATA_DIR": str(folder), "DATABASE_URL": os.environ["DATABASE_URL"]}
    environment |= {"SECRET_KEY": A_KEY} | variables
    return programs.run(*(command or ("manage.py", "check")), env=environment)


def show(folder, *names, **variables):
    """The values of some settings, each as Python writes it."""
    code = f"from workspace import settings as s; [print(repr(getattr(s, name))) for name in {names}]"
    done = start(folder, "-c", code, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


# --- Starts ----------------------------------------------------------------------


def test_good_values_start(tmp_path):
    variables = {
        "PORT": "8080",
        "HOST": "dash.example",
        "DEBUG": "off",
        "UPSTREAM_TABLES": "own",
        "DASHBOARD_SCHEMA": "board_2",
        "TIME_ZONE": "Europe/Prague",
        "PURGE_GRACE_HOURS": "0",
        "DATA_DIR": str(tmp_path / "made" / "on the way"),
    }
    done = start(tmp_path, **variables)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "made" / "on the way").is_dir()
    names = ("PORT", "DEBUG", "DASHBOARD_SCHEMA", "TIME_ZONE", "PURGE_GRACE_HOURS", "SECRET_KEY")
    values = ["8080", "False", "'board_2'", "'Europe/Prague'", "0", repr(A_KEY)]
    assert show(tmp_path, *names, **variables) == values
    assert "dash.example" in show(tmp_path, "ALLOWED_HOSTS", **variables)[0]


def test_empty_values_are_the_defaults(tmp_path):
    empty = dict.fromkeys(("PORT", "DEBUG", "UPSTREAM_TABLES", "TIME_ZONE", "PURGE_GRACE_HOURS"), " ")
    names = ("PORT", "HOST", "DEBUG", "UPSTREAM_TABLES", "DASHBOARD_SCHEMA", "TIME_ZONE", "PURGE_GRACE_HOURS")
    expected = ["8000", "'127.0.0.1'", "False", "'own'", "'public'", "'UTC'", "24"]
    assert show(tmp_path, *names, **empty) == show(tmp_path, *names) == expected


FRONT = (
    "ALLOWED_HOSTS[-1]",
    "CSRF_TRUSTED_ORIGINS",
    "SECURE_PROXY_SSL_HEADER",
    "SESSION_COOKIE_SECURE",
    "CSRF_COOKIE_SECURE",
    "SECURE_HSTS_SECONDS",
    "TRUSTED_PROXIES",
)


def front(folder, **variables):
    code = f"from django.conf import settings as s; print([{', '.join(f's.{name}' for name in FRONT)}])"
    done = start(folder, "-c", code, DJANGO_SETTINGS_MODULE="workspace.settings", **variables)
    assert done.returncode == 0, done.stderr
    return ast.literal_eval(done.stdout)


def test_a_public_address_decides_cookies_hosts_and_whose_headers_are_believed(tmp_path):
    header = ("HTTP_X_FORWARDED_PROTO", "https")
    https = front(tmp_path, PUBLIC_URL="https://Assets.example.com:443/", TRUSTED_PROXIES="2")
    origin = "https://assets.example.com"
    assert https == ["assets.example.com", [origin], header, True, True, 30 * 24 * 3600, 2]
    assert front(tmp_path, PUBLIC_URL=origin)[-1] == 1
    inside = front(tmp_path, PUBLIC_URL="http://[::1]:8080")
    assert inside == ["[::1]", ["http://[::1]:8080"], None, False, False, 0, 0]
    assert front(tmp_path) == ["127.0.0.1", [], None, False, False, 0, 0]


def test_on_an_existing_database_our_schema_is_dashboard(tmp_path):
    assert show(tmp_path, "DASHBOARD_SCHEMA", UPSTREAM_TABLES="existing") == ["'dashboard'"]


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"PORT": "abc"}, "PORT is 'abc': write a whole number."),
        ({"PORT": "0"}, "PORT is 0: it must be from 1 to 65535."),
        ({"PORT": "65536"}, "PORT is 65536: it must be from 1 to 65535."),
        ({"DEBUG": "maybe"}, "DEBUG is 'maybe': write 1 or 0."),
        ({"READ_ONLY": "perhaps"}, "READ_ONLY is 'perhaps': write 1 or 0."),
        ({"UPSTREAM_TABLES": "both"}, "UPSTREAM_TABLES is 'both': choose one of own, existing."),
        (
            {"DASHBOARD_SCHEMA": "Bad Name"},
            "DASHBOARD_SCHEMA is 'Bad Name': use small letters, digits and underscores.",
        ),
        (
            {"DASHBOARD_SCHEMA": "a,b -c x=y"},
            "DASHBOARD_SCHEMA is 'a,b -c x=y': use small letters, digits and underscores.",
        ),
        (
            {"DASHBOARD_SCHEMA": "public", "UPSTREAM_TABLES": "existing"},
            "DASHBOARD_SCHEMA is 'public', where the product's tables are: name another.",
        ),
        *(
            (
                {"PUBLIC_URL": url},
                f"PUBLIC_URL is '{url}': write an address such as https://host.example.com.",
            )
            for url in (
                "assets.example.com",
                "ftp://a.example",
                "https://a.example/path",
                "https://me@a.example",
            )
        ),
        (
            {"PUBLIC_URL": "https://a.example", "TRUSTED_PROXIES": "0"},
            "TRUSTED_PROXIES is 0, but PUBLIC_URL is https: a proxy has to speak TLS.",
        ),
        ({"TRUSTED_PROXIES": "10"}, "TRUSTED_PROXIES is 10: it must be from 0 to 9."),
        ({"WEB_PROCESSES": "0"}, "WEB_PROCESSES is 0: it must be from 1 to 64."),
        ({"TIME_ZONE": "Mars"}, "TIME_ZONE is 'Mars': write a name such as UTC or Europe/Prague."),
        ({"PURGE_GRACE_HOURS": "-1"}, "PURGE_GRACE_HOURS is -1: it must be from 0 to 8760."),
        (
            {"DATABASE_URL": "postgres://dashboard:se/cret@localhost/product"},  # which must not be repeated
            "DATABASE_URL is not understood: write postgres://USER:PASSWORD@HOST:PORT/DATABASE,"
            " with special characters as %XX.",
        ),
        (
            {"DATABASE_URL": "mysql://root@localhost/product"},
            "DATABASE_URL must begin with postgres:// and name a PostgreSQL database.",
        ),
        (
            {"READ_REPLICA_URL": "mysql://root@localhost/product"},
            "READ_REPLICA_URL must begin with postgres:// and name a PostgreSQL database.",
        ),
        (
            {"READ_REPLICA_URL": "postgres://standby/product", "DATABASE_URL": ""},
            "READ_REPLICA_URL is set and DATABASE_URL is not: name the primary as well.",
        ),
        (
            {"SECRET_KEY": ""},
            "SECRET_KEY is not set: choose 50 random characters, or develop with DEBUG=1.",
        ),
    ],
)
def test_a_wrong_value_stops_the_start_with_its_sentence(tmp_path, variables, sentence):
    refused(start(tmp_path, **variables), sentence)


# --- Stores ----------------------------------------------------------------------

NO_STORE = "write file:///a/folder or s3://bucket/prefix."


def test_stores_are_folders_or_buckets_as_their_urls_say(tmp_path):
    folder = f"file://{tmp_path}/some%20where"
    variables = {"WORKSPACE_STORE": folder, "LIBRARY_STORE": "s3://saved/a/b/", "AWS_REGION": "eu-west-3"}
    stores, policy = show(tmp_path, "STORAGES", "CONTENT_SECURITY_POLICY", **variables)
    assert f"PosixPath('{tmp_path}/some where')" in stores
    assert "'bucket_name': 'saved', 'location': 'a/b'" in stores
    assert "'region_name': 'eu-west-3'" in stores
    assert policy.count("'https://s3.eu-west-3.amazonaws.com/saved/'") == 2  # pictures and films, no more


def test_browsers_may_fetch_from_the_public_address_of_the_buckets(tmp_path):
    variables = {
        "WORKSPACE_STORE": "s3://one",
        "LIBRARY_STORE": "s3://two",
        "S3_ENDPOINT_URL": "http://in:9000",
    }
    policy = show(tmp_path, "CONTENT_SECURITY_POLICY", S3_PUBLIC_URL="https://files.example/", **variables)[0]
    assert "'https://files.example/one/', 'https://files.example/two/'" in policy
    assert "http://in:9000" not in policy


def test_a_service_may_be_behind_a_path(tmp_path):
    """As that of a hosted product beside its other services."""
    variables = {"WORKSPACE_STORE": "s3://one", "S3_ENDPOINT_URL": "https://product.example/storage/v1/s3/"}
    storages, policy = show(tmp_path, "STORAGES", "CONTENT_SECURITY_POLICY", **variables)
    assert "'endpoint_url': 'https://product.example/storage/v1/s3'" in storages
    assert "'https://product.example/storage/v1/s3/one/'" in policy


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"WORKSPACE_STORE": "/a/folder"}, f"WORKSPACE_STORE is '/a/folder': {NO_STORE}"),
        ({"WORKSPACE_STORE": "file://host/a"}, f"WORKSPACE_STORE is 'file://host/a': {NO_STORE}"),
        ({"WORKSPACE_STORE": "file:///"}, f"WORKSPACE_STORE is 'file:///': {NO_STORE}"),
        ({"LIBRARY_STORE": "s3://"}, f"LIBRARY_STORE is 's3://': {NO_STORE}"),
        ({"LIBRARY_STORE": "s3://a/b"}, f"LIBRARY_STORE is 's3://a/b': {NO_STORE}"),
        ({"LIBRARY_STORE": "s3://key:secret@abc"}, f"LIBRARY_STORE is 's3://…@abc': {NO_STORE}"),
        ({"LIBRARY_STORE": "s3://abc/a/../b"}, f"LIBRARY_STORE is 's3://abc/a/../b': {NO_STORE}"),
        ({"LIBRARY_STORE": "s3://abc?x=1"}, f"LIBRARY_STORE is 's3://abc?x=1': {NO_STORE}"),
        (
            {"LIBRARY_STORE": "s3://abc"},
            "Where the buckets are is not known: set AWS_REGION, or S3_ENDPOINT_URL.",
        ),
        (
            {"LIBRARY_STORE": "s3://abc", "S3_ENDPOINT_URL": "host:9000"},
            "S3_ENDPOINT_URL is 'host:9000': write an address such as https://host.example.com.",
        ),
        (
            {"LIBRARY_STORE": "s3://abc", "S3_ENDPOINT_URL": "http://h/../x"},
            "S3_ENDPOINT_URL is 'http://h/../x': write an address such as https://host.example.com.",
        ),
        (
            {"LIBRARY_STORE": "s3://abc", "S3_ENDPOINT_URL": "http://s3..example.com"},
            "S3_ENDPOINT_URL is 'http://s3..example.com': write an address such as https://host.example.com.",
        ),
        (
            {"LIBRARY_STORE": "s3://abc", "S3_ENDPOINT_URL": "http://h", "S3_PUBLIC_URL": "http://h:90000"},
            "S3_PUBLIC_URL is 'http://h:90000': write an address such as https://host.example.com.",
        ),
        (
            {"LIBRARY_STORE": "s3://abc", "S3_ENDPOINT_URL": "http://h", "S3_PUBLIC_URL": "http://h/p; x"},
            "S3_PUBLIC_URL is 'http://h/p; x': write an address such as https://host.example.com.",
        ),
        (
            {"WORKSPACE_STORE": "s3://abc", "LIBRARY_STORE": "s3://abc/saved"},
            "WORKSPACE_STORE and LIBRARY_STORE overlap: give each its own place.",
        ),
        (
            {"WORKSPACE_STORE": "file:///a", "LIBRARY_STORE": "file:///a"},
            "WORKSPACE_STORE and LIBRARY_STORE overlap: give each its own place.",
        ),
    ],
)
def test_a_store_that_is_none_or_another_s_stops_the_start(tmp_path, variables, sentence):
    refused(start(tmp_path, **variables), sentence)


def test_a_store_is_not_the_folder_that_has_the_previews(tmp_path):
    stores = {"WORKSPACE_STORE": f"file://{tmp_path}", "LIBRARY_STORE": "file:///somewhere/else"}
    done = start(tmp_path, **stores)
    refused(done, "WORKSPACE_STORE and DATA_DIR overlap: give each its own place.")


def test_a_store_is_not_the_other_one_by_another_name(tmp_path):
    (tmp_path / "files").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "files")
    stores = {"WORKSPACE_STORE": f"file://{tmp_path}/files", "LIBRARY_STORE": f"file://{tmp_path}/link/saved"}
    done = start(tmp_path, **stores)
    refused(done, "WORKSPACE_STORE and LIBRARY_STORE overlap: give each its own place.")


@pytest.mark.parametrize("name", ["DATABASE_URL", "READ_REPLICA_URL"])
@pytest.mark.parametrize("url", ["nonsense", "postgres://localhost:port/product", "fax://localhost/product"])
def test_a_database_url_that_is_none_stops_the_start(tmp_path, name, url):
    done = start(tmp_path, **{name: url})
    assert done.returncode != 0
    assert done.stderr.startswith(f"{name} ")


def test_a_replica_has_the_options_of_the_primary_and_is_only_read(tmp_path):
    replica = {"READ_REPLICA_URL": "postgres://reader@standby:5433/product", "DASHBOARD_SCHEMA": "board"}
    databases, routers = show(tmp_path, "DATABASES", "DATABASE_ROUTERS", **replica, WEB_PROCESS="1")
    primary, standby = (literal_eval(databases)[alias] for alias in ("default", "replica"))
    options = f"{primary['OPTIONS']['options']} -c default_transaction_read_only=on"
    assert standby["OPTIONS"]["options"] == options
    assert standby["OPTIONS"]["connect_timeout"] == 2
    assert (standby["HOST"], standby["PORT"], standby["USER"]) == ("standby", 5433, "reader")
    assert "ReplicaRouter" in routers


def test_a_data_folder_that_cannot_be_made_stops_the_start(tmp_path):
    file = tmp_path / "file"
    file.touch()
    refused(start(file), f"DATA_DIR is '{file}': File exists.")
    below = file / "below"
    refused(start(below), f"DATA_DIR is '{below}': Not a directory.")


def refused(done, sentence):
    assert done.returncode != 0
    assert done.stderr == f"{sentence}\n"


def test_the_default_key_starts_in_development_only(tmp_path):
    (key,) = show(tmp_path, "DEFAULT_SECRET_KEY")
    assert show(tmp_path, "SECRET_KEY", SECRET_KEY="", DEBUG="1") == [key]
    done = start(tmp_path, SECRET_KEY=key.strip("'"))
    refused(done, "SECRET_KEY is not set: choose 50 random characters, or develop with DEBUG=1.")
    assert not (tmp_path / "secret_key").exists()


def test_on_the_embedded_server_a_key_is_made_and_kept(tmp_path):
    alone = {"DATABASE_URL": "", "SECRET_KEY": ""}
    embedded, first = show(tmp_path, "EMBEDDED", "SECRET_KEY", **alone)
    kept = tmp_path / "secret_key"
    assert embedded == "True"
    assert first == repr(kept.read_text())
    assert len(kept.read_text()) >= 50
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert show(tmp_path, "SECRET_KEY", **alone) == [first]


# --- Helpers ---------------------------------------------------------------------


@pytest.fixture
def value(monkeypatch):
    return lambda text: monkeypatch.setenv("SAMPLE", text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", True),
        ("TRUE", True),
        (" yes ", True),
        ("on", True),
        ("0", False),
        ("False", False),
        ("no", False),
    ],
)
def test_a_flag_is_read(value, text, expected):
    value(text)
    assert env.flag("SAMPLE", default=not expected) is expected


def test_what_is_not_set_is_the_default(monkeypatch):
    monkeypatch.delenv("SAMPLE", raising=False)
    assert env.text("SAMPLE", "some") == "some"
    assert env.flag("SAMPLE", default=True) is True
    assert env.integer("SAMPLE", 5, minimum=1, maximum=9) == 5
    assert env.choice("SAMPLE", "own", ("own",)) == "own"
    assert env.identifier("SAMPLE", "board") == "board"
    assert env.items("SAMPLE", "a, b") == ["a", "b"]


@pytest.mark.parametrize(("text", "number"), [("1", 1), (" 9 ", 9), ("+5", 5)])
def test_an_integer_is_read_up_to_its_bounds(value, text, number):
    value(text)
    assert env.integer("SAMPLE", 2, minimum=1, maximum=9) == number


@pytest.mark.parametrize("text", ["0", "10", "1.5", "five", "0x5"])
def test_an_integer_beyond_its_bounds_is_refused(value, text):
    value(text)
    with pytest.raises(ImproperlyConfigured, match="SAMPLE is "):
        env.integer("SAMPLE", 2, minimum=1, maximum=9)


@pytest.mark.parametrize("text", ["2fast", "Board", "a-b", "a b", 'a"b', "žluť", "a;b", "a.b", "²"])
def test_a_name_that_needs_quoting_is_refused(value, text):
    value(text)
    with pytest.raises(ImproperlyConfigured, match="use small letters, digits and underscores"):
        env.identifier("SAMPLE", "board")


@pytest.mark.parametrize("text", ["board", "board_2", "_b"])
def test_a_plain_name_is_taken(value, text):
    value(text)
    assert env.identifier("SAMPLE", "other") == text


def test_items_are_split_and_empty_ones_dropped(value):
    value(" a.example ,, b.example,")
    assert env.items("SAMPLE") == ["a.example", "b.example"]


def test_a_folder_is_made_absolute(value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    value("deep/er")
    assert env.folder("SAMPLE", tmp_path) == tmp_path / "deep" / "er"
    assert (tmp_path / "deep" / "er").is_dir()


def test_a_folder_that_may_not_be_written_is_refused(value, tmp_path, monkeypatch):
    value(str(tmp_path))
    # To root every folder is writable, so the answer is made up.
    monkeypatch.setattr(env.os, "access", lambda path, mode: not (path == tmp_path and mode == os.W_OK))
    with pytest.raises(ImproperlyConfigured, match="this user may not write there"):
        env.folder("SAMPLE", tmp_path)


def test_a_kept_secret_is_made_once_by_any_number_of_processes(tmp_path):
    code = "import sys, pathlib; from workspace import environment as env; "
    code += "print(env.kept_secret(pathlib.Path(sys.argv[1])))"
    command = [sys.executable, "-c", code, str(tmp_path / "key")]
    processes = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    secrets = {process.communicate(timeout=60)[0].strip() for process in processes}
    assert len(secrets) == 1
    assert len(secrets.pop()) >= 50
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_kept_secret_is_never_seen_half_written(tmp_path, monkeypatch):
    path, seen = tmp_path / "key", []
    make = env.secrets.token_urlsafe

    def look_meanwhile(length):
        seen.append(path.exists())
        return make(length)

    monkeypatch.setattr(env.secrets, "token_urlsafe", look_meanwhile)
    assert env.kept_secret(path)
    assert seen == [False]
