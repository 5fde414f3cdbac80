"""`manage.py attach`: each thing that can be wrong with a product's database is named; nothing changes."""

import json
import os
import re
from contextlib import contextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from assets.attachment import page, server
from assets.attachment.server import difference
from assets.attachment.verdicts import Finding, problem, warning
from tests import programs
from tests.stores import IN_DATA_DIR
from tests.test_existing_database import ADA, JOB, Product, address, identifiers
from tests.test_existing_database import server as superuser
from tests.test_replica import FOLLOWED
from tests.test_replica import Server as Replica

COLUMNS = 80


def run(product, *arguments, **environment):
    variables = {
        "DATABASE_URL": address(product.name, product.role),
        "UPSTREAM_TABLES": "existing",
        "DATA_DIR": str(product.folder),
        "DEBUG": "1",
        "COLUMNS": str(COLUMNS),
    }
    given = os.environ | IN_DATA_DIR | variables | environment
    return programs.run("manage.py", "attach", *arguments, "--no-color", env=given)


def attach(product, *arguments, **environment):
    """(check, level, all that is said), of each verdict."""
    done = run(product, "--json", *arguments, **environment)
    assert done.stderr == ""
    found = json.loads(done.stdout)
    levels = {each["level"] for each in found}
    assert done.returncode == ("problem" in levels)
    return [
        (each["check"], each["level"], " ".join([each["so"], each["do"], *each["sql"]])) for each in found
    ]


def among(found, check, level, *words):
    return any((check, level) == (a, b) and all(word in text for word in words) for a, b, text in found)


@contextmanager
def made(folder, *statements):
    product = Product(folder)
    try:
        with product.connect() as owner:
            for statement in statements:
                owner.execute(statement)
        yield product
    finally:
        product.drop()


def put_files(product):
    """Those which most assets and the row of the library name; of some assets there is none."""
    for store in ("workspace", "library"):
        file = product.folder / store / str(ADA) / str(JOB) / "0.png"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"\x89PNG\r\n\x1a\n")
    with product.connect() as owner:
        owner.execute("UPDATE user_library SET storage_path = %s", [f"{ADA}/{JOB}/0.png"])


# --- A database that is ready ------------------------------------------------


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    with made(tmp_path_factory.mktemp("data")) as product:
        put_files(product)
        yield product


def test_nothing_is_a_problem_for_a_role_with_the_rights_it_needs_and_nothing_changes(ready):
    before, tables = ready.snapshot("public"), ready.tables()
    found = attach(ready)
    assert [each for each in found if each[1] in ("problem", "cannot tell")] == []
    assert among(found, "row_security", "ok", "public.user_library")
    assert among(found, "migrations", "note", "in the schema dashboard")
    assert among(found, "trigger", "warning", "After manage.py migrate")
    assert among(found, "files_of_rows", "ok", "in the workspace's store")
    assert ready.snapshot("public") == before
    assert ready.tables() == tables
    with ready.connect() as owner:
        assert owner.execute("SELECT to_regnamespace('dashboard')").fetchone() == (None,)
    for store in ("workspace", "library"):
        assert [each.name for each in (ready.folder / store).iterdir()] == [str(ADA)]


@pytest.fixture(scope="module")
def migrated(tmp_path_factory):
    with made(tmp_path_factory.mktemp("data")) as product:
        put_files(product)
        done = product.manage("migrate")
        assert done.returncode == 0, done.stderr
        yield product


def test_once_all_is_done_all_is_well(migrated):
    with migrated.connect() as owner:
        owner.execute(migrated.manage("departure_trigger", "--sql").stdout)
        for statement in migrated.manage("index_advice").stdout.split(";\n"):
            owner.execute(statement)
    before = migrated.snapshot("public"), migrated.snapshot("dashboard")
    found = attach(migrated)
    assert {level for _, level, _ in found} == {"ok", "note"}
    assert among(found, "readers", "ok", "schema dashboard")
    assert all(among(found, check, "ok") for check in ("migrations", "indexes", "trigger"))
    assert (migrated.snapshot("public"), migrated.snapshot("dashboard")) == before


def test_the_page_fits_a_narrow_terminal_and_says_how_many(ready):
    shown = run(ready, "--no-probe")
    assert shown.returncode == 0, shown.stderr
    assert max(map(len, shown.stdout.splitlines()[1:])) <= COLUMNS
    assert re.search(r"\n1 warning, \d+ notes, \d+ ok\. Nothing in the database was changed\.", shown.stdout)
    assert "not tried, because of --no-probe" in " ".join(shown.stdout.split())
    assert "\x1b" not in shown.stdout


def test_a_product_whose_tables_would_be_taken_for_ours_is_told_apart(ready):
    found = attach(ready, "--no-probe", UPSTREAM_TABLES="own")
    assert among(found, "whose_tables", "problem", "UPSTREAM_TABLES=existing")


def test_a_database_that_is_empty_is_ready_for_a_dashboard_of_its_own(ready):
    found = attach(ready, DATABASE_URL=address("postgres"), UPSTREAM_TABLES="own")
    assert not [each for each in found if each[1] in ("problem", "cannot tell")]
    assert among(found, "whose_tables", "note", "makes all of them")
    assert {check for check, _, _ in found}.isdisjoint({"tables_and_columns", "indexes", "trigger"})


def test_a_table_that_somebody_locks_spoils_no_other_check(ready):
    with ready.connect() as owner, owner.transaction():
        owner.execute("LOCK TABLE workspace_assets IN ACCESS EXCLUSIVE MODE")
        found = attach(ready, "--no-probe")
    assert among(found, "indexes", "cannot tell", "lock timeout")
    assert among(found, "files_of_rows", "cannot tell", "lock timeout")
    assert among(found, "changing", "ok")
    assert among(found, "trigger", "warning")


# --- No way in ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("/product_", "/absent_"), ["does not exist", "names of database and user"]),
        (("://product_", "://absent_"), ["does not exist", "names of database and user"]),
        (("@", ":secret-word@nowhere.invalid:5432/"), ["Check the host"]),
        (("@", ":secret-word@127.0.0.1:1/"), ["refused", "Check host and port"]),
    ],
    ids=["database", "role", "host", "port"],
)
def test_a_connection_that_fails_is_a_verdict_and_never_tells_the_password(ready, change, words):
    url = address(ready.name, ready.role).replace(*change)
    found = attach(ready, "--no-probe", DATABASE_URL=url)
    assert among(found, "connect", "problem", *words)
    assert "secret-word" not in str(found)
    assert among(found, "list", "ok"), "the stores are looked at all the same"


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ('FATAL:  password authentication failed for user "dashboard"', "user and password"),
        ("FATAL:  unsupported startup parameter in options: search_path", "pooler"),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1", no encryption', "sslmode=require"),
        ("FATAL:  remaining connection slots are reserved", "no connection left"),
        ("PostgreSQL 14 or later is required (found 13.11).", "Upgrade the server"),
        ("something that nobody has seen", "Check DATABASE_URL."),
    ],
)
def test_what_servers_say_leads_to_what_to_do(message, words):
    assert words in server.advice(message.lower())


@pytest.mark.parametrize(
    ("sessions", "level"),
    [((7, 7, 8), "ok"), ((3, 7, 8), "note"), ((3, 7, 7), "problem")],
    ids=["none", "one in session mode", "one in transaction mode"],
)
def test_a_pooler_is_recognised_by_the_sessions_that_connections_get(monkeypatch, sessions, level):
    monkeypatch.setattr(server, "_sessions", lambda: sessions)
    assert [verdict.level for verdict in server.pooler()] == [level]


@pytest.mark.parametrize(
    ("change", "level", "words"),
    [
        (("", ""), "problem", "is no replica, but a server of its own"),
        (("@", ":secret-word@127.0.0.1:1/"), "warning", "READ_REPLICA_URL"),
    ],
    ids=["the primary itself", "not there"],
)
def test_a_replica_that_is_none_is_told(ready, change, level, words):
    url = address(ready.name, ready.role)
    found = attach(ready, "--no-probe", READ_REPLICA_URL=url.replace(*change) if change[0] else url)
    assert among(found, "read_replica", level, words)
    assert "secret-word" not in str(found)


def test_a_replica_that_keeps_up_is_told_from_one_of_another_database(ready):
    replica = Replica(FOLLOWED.with_name("attached"))
    try:
        ours = urlsplit(address(ready.name, ready.role))
        there = ours._replace(netloc=f"{ready.role}@{urlsplit(replica.url).netloc.split('@')[1]}")
        found = attach(ready, "--no-probe", READ_REPLICA_URL=there.geturl())
        assert among(found, "read_replica", "ok", "keeps up")
        found = attach(ready, "--no-probe", READ_REPLICA_URL=there._replace(path="/postgres").geturl())
        assert among(found, "read_replica", "problem", "is of another database")
    finally:
        replica.kill()


# --- Tables that differ ------------------------------------------------------

ALTERATIONS = [
    "ALTER TABLE workspace_assets ALTER created_at TYPE timestamp",
    "ALTER TABLE workspace_assets ALTER generation_settings DROP DEFAULT",
    "ALTER TABLE workspace_assets ALTER generation_settings TYPE json",
    "ALTER TABLE workspace_assets ALTER original_prompt TYPE varchar(9000)",
    "ALTER TABLE workspace_assets ALTER mime_type DROP NOT NULL",
    "ALTER TABLE workspace_assets DROP CONSTRAINT workspace_assets_job_id_asset_index_key",
    "ALTER TABLE user_library ALTER file_size_bytes TYPE integer",
    "ALTER TABLE user_library ADD checksum text NOT NULL DEFAULT ''",
    "ALTER TABLE user_library ALTER checksum DROP DEFAULT",
    "UPDATE user_library SET custom_title = ''",
    "ALTER TABLE user_library ALTER custom_title SET DEFAULT '', ALTER custom_title SET NOT NULL",
    "ALTER TABLE user_library DROP CONSTRAINT user_library_pkey",
    "ALTER TABLE user_library ADD CONSTRAINT short_prompts CHECK (length(original_prompt) < 5000)",
    "ALTER TABLE jobs DROP template_name",
    "ALTER TABLE jobs ADD queue text NOT NULL DEFAULT ''",
    "ALTER TABLE jobs ALTER queue DROP DEFAULT",
    "CREATE TYPE quality AS ENUM ('high', 'low')",
    "ALTER TABLE jobs ALTER quality TYPE quality USING quality::quality",
    "CREATE TYPE kind AS ENUM ('image', 'video')",
    "ALTER TABLE workspace_assets DROP CONSTRAINT workspace_assets_asset_type_check",
    "ALTER TABLE workspace_assets ALTER asset_type TYPE kind USING asset_type::kind",
    "CREATE TYPE mime AS ENUM ('image/png', 'video/mp4')",
    "ALTER TABLE workspace_assets ALTER mime_type TYPE mime USING 'image/png'::mime",
    "ALTER TABLE user_library DROP CONSTRAINT user_library_asset_type_check",
    "ALTER TABLE user_library ALTER asset_type TYPE kind USING asset_type::kind",
    "ALTER TABLE profiles RENAME TO people",
    "CREATE VIEW profiles AS TABLE people",
    "CREATE TABLE comments (asset_id uuid REFERENCES workspace_assets ON DELETE CASCADE)",
    "CREATE TABLE reports (asset_id uuid REFERENCES workspace_assets)",
    "CREATE UNIQUE INDEX once ON user_library (user_id, original_prompt, generation_seed)",
    "CREATE UNIQUE INDEX one_path ON user_library (storage_path)",
    "CREATE TABLE likes (path text REFERENCES user_library (storage_path) ON DELETE CASCADE)",
    "CREATE TABLE orders (path text REFERENCES user_library (storage_path))",
    "CREATE TABLE covers (path text REFERENCES user_library (storage_path) ON DELETE SET NULL)",
    "CREATE RULE keep_all AS ON DELETE TO workspace_assets DO INSTEAD NOTHING",
    "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "CREATE TRIGGER keep_reported BEFORE DELETE ON workspace_assets FOR EACH ROW EXECUTE FUNCTION refuse()",
]
DIFFERENCES = [
    ("column_types", "problem", "workspace_assets.created_at is timestamp without time zone"),
    ("column_types", "problem", "workspace_assets.generation_settings is json, not jsonb"),
    ("column_types", "note", "user_library.file_size_bytes is integer, not bigint"),
    ("column_types", "note", "jobs.quality is quality, not text"),
    ("column_types", "problem", "workspace_assets.asset_type is kind, not text: the gallery"),
    ("column_types", "problem", "workspace_assets.mime_type is mime, not text: saving fails"),
    ("column_types", "problem", "user_library.asset_type is kind, not text: saving fails"),
    ("nulls", "note", "workspace_assets.mime_type may be null"),
    ("keys", "note", "the same index in a job"),
    ("keys", "problem", "Nothing keeps user_library.id unique"),
    ("saving", "problem", "user_library.checksum must have a value"),
    ("saving", "problem", "user_library.custom_title must have a value"),
    ("conditions", "note", "short_prompts"),
    ("alike", "warning", "takes one alone: once, btree (user_id, original_prompt, generation_seed)."),
    ("rules", "problem", "workspace_assets has a rule, keep_all: saving"),
    ("ingesting", "note", "jobs.queue must have a value"),
    ("tables_and_columns", "problem", "The table jobs has no column template_name (text)."),
    ("kinds_of_tables", "note", "profiles is a view"),
    ("references", "warning", "Rows of comments go with the asset"),
    ("references", "warning", "An asset that reports names cannot leave"),
    (
        "references",
        "warning",
        "Rows of likes go with the saved asset that they name",
    ),
    ("references", "note", "A saved asset that orders names cannot be brought back"),
    ("triggers", "note", "keep_reported"),
]


@pytest.fixture(scope="module")
def differing(tmp_path_factory):
    with made(tmp_path_factory.mktemp("data"), *ALTERATIONS) as product:
        yield product, attach(product, "--no-probe")


@pytest.mark.parametrize(("check", "level", "words"), DIFFERENCES)
def test_each_difference_of_the_tables_is_named(differing, check, level, words):
    _, found = differing
    assert among(found, check, level, words), [each for each in found if each[0] == check]


def test_what_does_as_well_is_no_difference(differing):
    _, found = differing
    assert not any("covers" in text for _, _, text in found)
    assert not any("original_prompt is" in text for _, _, text in found)
    assert sum(check == "column_types" for check, _, _ in found) == 7
    assert sum(check == "alike" for check, _, _ in found) == 1


def test_tables_in_another_schema_are_found_there(tmp_path):
    with made(tmp_path, "CREATE SCHEMA product", "ALTER TABLE jobs SET SCHEMA product") as product:
        assert among(
            attach(product, "--no-probe"), "tables_and_columns", "problem", "schema product, which this role"
        )


# --- Roles -------------------------------------------------------------------


def test_a_role_with_too_few_rights_is_told_each_and_the_statements_mend_all(tmp_path):
    with made(tmp_path) as product:
        role = product.role
        with product.connect() as owner:
            for statement in (
                "ALTER ROLE {0} NOBYPASSRLS CONNECTION LIMIT 20",
                "ALTER ROLE {0} SET default_transaction_read_only = on",
                "ALTER ROLE {0} SET statement_timeout = '8s'",
                "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {0}",
                "GRANT SELECT (id, username) ON profiles TO {0}",
                "GRANT SELECT ON jobs TO {0}",
                "GRANT SELECT ON workspace_assets TO {0}",
            ):
                owner.execute(identifiers(statement, role))
            owner.execute(identifiers("REVOKE CREATE ON DATABASE {} FROM {}", product.name, role))
        put_files(product)
        found = attach(product, "--no-probe")
        for check, level, *words in (
            ("row_security", "problem", "workspace_assets, user_library", "BYPASSRLS;"),
            ("reading", "problem", "may not read profiles, user_library."),
            ("reading", "problem", f"GRANT SELECT ON public.profiles, public.user_library TO {role};"),
            ("changing", "problem", "Deleting, and the expiry", "DELETE ON workspace_assets."),
            ("changing", "problem", "Restoring", f"GRANT DELETE ON public.user_library TO {role};"),
            (
                "changing",
                "note",
                "manage.py ingest: this role lacks INSERT ON jobs, UPDATE (metadata)",
            ),
            ("own_schema", "problem", "CREATE SCHEMA dashboard;"),
            ("writing", "problem", "read-only by default"),
            ("time_limit", "warning", "after 8 s"),
            ("room", "warning", "connections more"),
            ("files_of_rows", "cannot tell", "workspace_assets", "row-level security"),
        ):
            assert among(found, check, level, *words), (check, words)
        assert "GRANT DELETE" not in run(product, "--sql", "--no-probe", READ_ONLY="1").stdout
        statements = run(product, "--sql", "--no-probe")
        with product.connect() as owner:
            owner.execute(statements.stdout)
            owner.execute(identifiers("ALTER ROLE {} CONNECTION LIMIT -1", role))
        again = attach(product, "--no-probe")
        assert [each for each in again if each[1] in ("problem", "cannot tell")] == []
        assert not among(again, "time_limit", "warning")


def test_a_role_that_may_have_one_connection_alone_is_told_so(tmp_path):
    with made(tmp_path) as product, product.connect() as owner:
        owner.execute(identifiers("ALTER ROLE {} CONNECTION LIMIT 1", product.role))
        found = attach(product, "--no-probe")
    assert among(found, "pooler", "cannot tell", "too many connections")
    assert among(found, "room", "warning", "room for 0 connections more")


def test_a_superuser_and_an_owner_are_told_that_less_would_do(ready):
    role = f"owner_{uuid4().hex[:12]}"
    with ready.connect() as owner:
        owner.execute(identifiers("CREATE ROLE {} LOGIN", role))
        owner.execute(identifiers("GRANT CREATE ON SCHEMA public TO {}", role))
        owner.execute(identifiers("ALTER TABLE workspace_assets OWNER TO {}", role))
        try:
            found = attach(ready, "--no-probe", DATABASE_URL=address(ready.name, role))
            assert among(found, "which_role", "note", "which owns public.workspace_assets")
            assert among(found, "row_security", "problem", "hide rows of", "user_library")
        finally:
            owner.execute("ALTER TABLE workspace_assets OWNER TO postgres")
            owner.execute(identifiers("DROP OWNED BY {}", role))
            owner.execute(identifiers("DROP ROLE {}", role))
    found = attach(ready, "--no-probe", DATABASE_URL=address(ready.name))
    assert among(found, "which_role", "warning", "a superuser")


# --- Who else could read -----------------------------------------------------


@pytest.fixture
def outsiders():
    """An API's role for its guests, the one that takes it on, and one that has nothing to do with an API."""
    names = [f"{name}_{uuid4().hex[:8]}" for name in ("guest", "gate", "reports")]
    with superuser() as connection:
        for name, kind in zip(names, ("NOLOGIN", "LOGIN NOINHERIT", "LOGIN"), strict=True):
            connection.execute(identifiers(f"CREATE ROLE {{}} {kind}", name))
        connection.execute(identifiers("GRANT {} TO {}", *names[:2]))
    yield names
    with superuser() as connection:
        for name in names:
            connection.execute(identifiers("DROP ROLE {}", name))


def forget(product, names):
    with product.connect() as owner:
        for name in names:
            owner.execute(identifiers("DROP OWNED BY {}", name))


def test_whoever_could_read_what_the_dashboard_writes_is_named_and_revoked(migrated, outsiders):
    guest, gate, reports = outsiders
    with migrated.connect() as owner:
        for name, table in ((guest, "auth_user"), (reports, "assets_disposition")):
            owner.execute(identifiers("GRANT USAGE ON SCHEMA dashboard TO {}", name))
            owner.execute(identifiers("GRANT SELECT ON dashboard.{} TO {}", table, name))
        owner.execute(identifiers("ALTER ROLE {} SET pgrst.db_schemas = 'public, dashboard'", gate))
        owner.execute("CREATE PUBLICATION everything FOR ALL TABLES")
        found = attach(migrated, "--no-probe")
        assert among(found, "readers", "problem", f"{guest}, a role of an API,", "auth_user")
        assert among(found, "readers", "warning", f"role {reports} may", "assets_disposition")
        assert among(found, "published_schemas", "problem", f"db_schemas of {gate}")
        assert among(found, "publications", "warning", "everything")
        owner.execute(run(migrated, "--sql", "--no-probe").stdout)
        owner.execute(identifiers("ALTER ROLE {} RESET pgrst.db_schemas", gate))
        again = attach(migrated, "--no-probe")
        assert among(again, "readers", "ok")
        assert among(again, "published_schemas", "note", "cannot be seen")
        owner.execute("GRANT SELECT ON ALL TABLES IN SCHEMA dashboard TO PUBLIC")
        assert among(attach(migrated, "--no-probe"), "readers", "problem", "Everybody", "FROM PUBLIC;")
        owner.execute("REVOKE SELECT ON ALL TABLES IN SCHEMA dashboard FROM PUBLIC")
        owner.execute("DROP PUBLICATION everything")
    forget(migrated, outsiders)


@pytest.mark.parametrize(
    ("office", "member"),
    [
        ("", "guest"),
        ("", "between"),
        ("", "gate"),
        ("pg_read_all_data", "guest"),
        ("pg_read_all_data", "between"),
    ],
)
def test_an_api_that_may_act_as_one_who_reads_everything_is_named(migrated, outsiders, office, member):
    """By itself, through a role between, or as the role that an API logs in as."""
    guest, gate, between = outsiders
    office = office or migrated.role
    direct = {"guest": guest, "gate": gate, "between": between}[member]
    with migrated.connect() as owner:
        assert among(attach(migrated, "--no-probe"), "readers", "ok")
        owner.execute(identifiers("GRANT {} TO {}", office, direct))
        if member == "between":
            owner.execute(identifiers("GRANT {} TO {}", between, guest))
        found = attach(migrated, "--no-probe")
        assert among(found, "acting", "problem", direct, f"REVOKE {office} FROM {direct};")
        assert not among(found, "readers", "ok")
        told = migrated.manage("check", "--database", "default").stderr
        assert f"in the schema dashboard: {direct}." in told
        assert f"REVOKE {office} FROM {direct};" in told
        owner.execute(run(migrated, "--sql", "--no-probe").stdout)
        again = attach(migrated, "--no-probe")
        assert among(again, "readers", "ok")
        assert not among(again, "acting", "problem")


def test_whoever_looks_after_the_database_may_act_as_the_dashboard(migrated, outsiders):
    """As whoever has made its role may, and those who make back-ups."""
    _, maker, keeper = outsiders
    with migrated.connect() as owner:
        owner.execute(identifiers("GRANT {} TO {} WITH ADMIN OPTION", migrated.role, maker))
        owner.execute(identifiers("GRANT {} TO {}", migrated.role, keeper))
        owner.execute(identifiers("GRANT pg_read_all_data TO {}", keeper))
        assert among(attach(migrated, "--no-probe"), "readers", "ok")


def test_the_owner_of_the_assets_may_write_into_the_ledger(migrated, outsiders):
    """By the trigger, with the grants that `departure_trigger --sql` names."""
    *_, owner_of_assets = outsiders
    with migrated.connect() as owner:
        owner.execute(identifiers("GRANT USAGE, CREATE ON SCHEMA dashboard TO {}", owner_of_assets))
        owner.execute(identifiers("GRANT INSERT ON dashboard.assets_disposition TO {}", owner_of_assets))
        assert among(attach(migrated, "--no-probe"), "readers", "warning", owner_of_assets)
        owner.execute(identifiers("ALTER TABLE workspace_assets OWNER TO {}", owner_of_assets))
        found = attach(migrated, "--no-probe")
        owner.execute("ALTER TABLE workspace_assets OWNER TO postgres")
    assert among(found, "readers", "ok")
    forget(migrated, outsiders)


def test_what_would_be_granted_to_an_api_by_default_is_named_before_it_is_made(ready, outsiders):
    with ready.connect() as owner:
        grant = "ALTER DEFAULT PRIVILEGES FOR ROLE {} GRANT SELECT ON TABLES TO {}"
        owner.execute(identifiers(grant, ready.role, outsiders[0]))
        found = attach(ready, "--no-probe")
        assert among(found, "default_privileges", "problem", outsiders[0], "before manage.py migrate")
        owner.execute(run(ready, "--sql", "--no-probe").stdout)
    assert among(attach(ready, "--no-probe"), "default_privileges", "ok")


def test_a_schema_that_somebody_else_uses_is_told(tmp_path):
    statements = ("CREATE SCHEMA dashboard", "CREATE TABLE dashboard.kpis (id int)")
    with made(tmp_path, *statements, "CREATE TABLE dashboard.jobs (id int)") as product:
        with product.connect() as owner:
            owner.execute(identifiers("GRANT USAGE ON SCHEMA dashboard TO {}", product.role))
        found = attach(product, "--no-probe")
    assert among(found, "own_schema", "problem", "lacks CREATE in the schema dashboard")
    assert among(found, "own_schema", "warning", "kpis")
    assert among(found, "whose_tables", "problem", "a table jobs of its own")


# --- What is shown -----------------------------------------------------------


def test_names_from_a_database_neither_end_a_comment_nor_move_the_cursor():
    hostile = "a\n; DROP TABLE users; --\x1b[2J"
    finding = Finding("Section", "check", problem(hostile, hostile, "SELECT 1;"))
    assert [line[:2] for line in page.as_sql([finding])] == ["--", "--", "SE", ""]
    assert "\x1b" not in page.entry(finding.verdict, COLUMNS, lambda level, text: text)


def test_the_summary_counts_the_worst_first():
    found = [Finding("", "", verdict) for verdict in (warning("a", ""), problem("b", ""), problem("c", ""))]
    assert page.summary(found) == "2 problems, 1 warning"


@pytest.mark.parametrize(("seconds", "level"), [(0, "ok"), (-1, "ok"), (5, "warning"), (-4000, "problem")])
def test_clocks_that_differ_are_told(seconds, level):
    from datetime import UTC, datetime, timedelta

    now = datetime.now(UTC)
    assert difference(now + timedelta(seconds=seconds), now, now, "theirs").level == level
