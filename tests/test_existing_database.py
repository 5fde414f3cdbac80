"""The dashboard on a product's own database: it changes nothing there, and shows every row."""

import importlib.util
import json
import os
import re
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode, urlsplit, urlunsplit
from uuid import UUID, uuid4

import psycopg
import pytest
from django.apps import apps
from django.utils import timezone
from psycopg import sql
from psycopg.types.json import Jsonb

from tests import programs
from tests.stores import IN_DATA_DIR
from workspace.routers import UPSTREAM_MODELS

ROOT = Path(__file__).resolve().parent.parent
SERVER = os.environ["DATABASE_URL"]  # the tests' own, with every right
PRODUCT_TABLES = {"profiles", "jobs", "workspace_assets", "user_library"}

# --- The product's database ----------------------------------------------------

ADA, NAMELESS, CROWD, GONE = (UUID(int=n, version=4) for n in (0xADA, 0x2, 0xC0, 0xDEAD))
JOB, BARE_JOB, GONE_JOB = (UUID(int=n, version=4) for n in (0x10, 0x11, 0xDEAD10))
LIBRARY_ROW = UUID(int=0x11B, version=4)
NOW = timezone.now()
AN_HOUR, A_DAY = timedelta(hours=1), timedelta(days=1)

ORDINARY = {
    "user_id": ADA,
    "asset_type": "image",
    "temp_storage_path": f"{ADA}/{JOB}/0.png",
    "file_size_bytes": 1_000,
    "mime_type": "image/png",
    "generation_seed": 7,
    "original_prompt": "a red fox in the snow",
    "model_used": "sdxl",
    "generation_settings": Jsonb({"steps": 30, "sampler": "euler"}),
    "created_at": NOW - 2 * A_DAY,
    "expires_at": NOW + 5 * A_DAY,
}
# What each row has that is out of the ordinary. Each but two has a job of its own, that is gone.
ODDITIES = {
    "plain": {"job_id": JOB},
    "sibling": {
        "job_id": JOB,
        "asset_index": 1,
        "asset_type": "video",
        "mime_type": "video/mp4",
        "duration_seconds": "5.125",
        "model_used": "fal-ai/wan-i2v",
        "thumbnail_path": f"{ADA}/{JOB}/1.thumb.webp",
    },
    "bare_job": {"job_id": BARE_JOB},
    "job_gone": {"job_id": GONE_JOB},
    "profile_gone": {"user_id": GONE},
    "nameless": {"user_id": NAMELESS},
    "undated": {"created_at": None},
    "forever": {"expires_at": None},
    "expired": {"expires_at": NOW - AN_HOUR},
    "soon": {"expires_at": NOW + AN_HOUR / 2},
    "tomorrow": {"expires_at": NOW + A_DAY / 2},
    "no_settings": {"generation_settings": None},
    "json_null": {"generation_settings": Jsonb(None)},
    "list_settings": {"generation_settings": Jsonb([1, "two", {"steps": 30}])},
    "text_settings": {"generation_settings": Jsonb("steps")},
    "nested_settings": {"generation_settings": Jsonb({"conditioning_settings": {"max_num_frames": 81}})},
    "no_path": {"temp_storage_path": ""},
    "prefixed": {"temp_storage_path": f"workspace-temp/{ADA}/0.jpeg"},
    "full_url": {"temp_storage_path": f"https://files.example/workspace-temp/{ADA}/0.png?token=abc"},
    "leaving_path": {"temp_storage_path": "../../elsewhere"},
    "empty_file": {"file_size_bytes": 0},
    "huge": {"file_size_bytes": 9_000_000_000},
    "seed_zero": {"generation_seed": 0},
    "seed_negative": {"generation_seed": -(2**63)},
    "no_prompt": {"original_prompt": ""},
    "odd_prompt": {"original_prompt": "<b>žluťoučký</b> 🦊 \u202e"},
    "odd_model": {"model_used": "SDXL", "mime_type": "image/jpeg"},
    "nothing_known": {
        "user_id": GONE,
        "temp_storage_path": "",
        "file_size_bytes": 0,
        "generation_seed": 0,
        "original_prompt": "",
        "model_used": "",
        "mime_type": "",
        "generation_settings": None,
        "created_at": None,
        "expires_at": None,
    },
}
IDS = {name: uuid4() for name in ODDITIES}
CROWD_IDS = {uuid4() for _ in range(75)}  # with the others, more than a page; a third is undated


def rows():
    for name, oddity in ODDITIES.items():
        yield ORDINARY | {"id": IDS[name], "job_id": uuid4(), "width": None, "height": None} | oddity
    for number, pk in enumerate(CROWD_IDS):
        created_at = NOW - timedelta(days=3, minutes=number) if number % 3 else None
        crowd = {"id": pk, "job_id": uuid4(), "user_id": CROWD, "model_used": "flux", "generation_seed": 1}
        yield ORDINARY | crowd | {"created_at": created_at, "original_prompt": "noise"}


def insert(connection, table, **values):
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, values)),
        sql.SQL(", ").join(map(sql.Placeholder, values)),
    )
    connection.execute(statement, values)


def fill(connection):
    connection.execute((Path(__file__).parent / "product.sql").read_text())
    insert(connection, "profiles", id=ADA, username="ada", token_balance=12, age_verified=True)
    nulls = ("subscription_status", "token_balance", "created_at", "updated_at", "age_verified")
    insert(connection, "profiles", id=NAMELESS, username=None, **dict.fromkeys(nulls))
    insert(connection, "profiles", id=CROWD, username="crowd")
    insert(connection, "jobs", id=JOB, user_id=ADA, job_type="txt2img", status="completed")
    nulls = ("user_id", "status", "attempts", "metadata", "created_at", "destination")
    insert(connection, "jobs", id=BARE_JOB, **dict.fromkeys(nulls))
    connection.execute("SET session_replication_role = replica")  # rows older than the foreign key
    for row in rows():
        insert(connection, "workspace_assets", **row)
    connection.execute("SET session_replication_role = origin")
    saved = {name: ORDINARY[name] for name in ("asset_type", "file_size_bytes", "mime_type", "model_used")}
    nulls = ("generation_seed", "tags", "is_favorite", "visibility", "created_at", "updated_at")
    saved |= {"original_prompt": "", "storage_path": "", **dict.fromkeys(nulls)}
    insert(connection, "user_library", id=LIBRARY_ROW, user_id=ADA, **saved)


class Product:
    """A database on the tests' server, and a role that may read and write rows there, and make a schema.

    The role owns nothing of the product's, as the dashboard's role should: what the dashboard must not
    do to the tables it could not.
    """

    def __init__(self, folder, template=None):
        self.name = self.role = f"product_{uuid4().hex[:12]}"
        self.folder = folder
        with server() as connection:
            like = template.name if template else "template1"
            connection.execute(identifiers("CREATE DATABASE {} TEMPLATE {}", self.name, like))
            connection.execute(identifiers("CREATE ROLE {} LOGIN BYPASSRLS", self.role))
            connection.execute(identifiers("GRANT CREATE ON DATABASE {} TO {}", self.name, self.role))
        if template:
            return
        with self.connect() as connection:
            fill(connection)
            may = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {}"
            connection.execute(identifiers(may, self.role))

    def drop(self):
        with server() as connection:
            connection.execute(identifiers("DROP DATABASE {} WITH (FORCE)", self.name))
            connection.execute(identifiers("DROP ROLE {}", self.role))

    def connect(self):
        return psycopg.connect(address(self.name), autocommit=True)

    def run(self, *arguments, given="", **environment):
        variables = {
            "DATABASE_URL": address(self.name, self.role),
            "UPSTREAM_TABLES": "existing",
            "DATA_DIR": str(self.folder),
            "DEBUG": "1",
        }
        return programs.run(*arguments, env=os.environ | IN_DATA_DIR | variables | environment, given=given)

    def manage(self, *arguments, **environment):
        return self.run("manage.py", *arguments, "--no-color", **environment)

    def snapshot(self, schema):
        """All that the catalogue and the tables of a schema hold."""
        with self.connect() as connection:
            found = {
                name: connection.execute(query, [schema]).fetchall() for name, query in CATALOGUE.items()
            }
            for (table,) in connection.execute(TABLES, [schema]).fetchall():
                content = identifiers("SELECT t::text FROM {}.{} AS t ORDER BY 1", schema, table)
                found[f"rows of {table}"] = connection.execute(content).fetchall()
        return found

    def tables(self):
        """(schema, table) of everything but PostgreSQL's own."""
        with self.connect() as connection:
            query = "SELECT schemaname, tablename FROM pg_tables WHERE schemaname !~ '^(pg_|information_)'"
            return set(connection.execute(query).fetchall())


def address(database, role="postgres"):
    parts = urlsplit(SERVER)
    return urlunsplit(parts._replace(netloc=f"{role}@{parts.netloc.split('@')[1]}", path=f"/{database}"))


def server():
    return psycopg.connect(SERVER, autocommit=True)


def identifiers(statement, *names):
    return sql.SQL(statement).format(*map(sql.Identifier, names))


TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY 1"
CATALOGUE = {
    "relations": """
        SELECT oid, relname, relkind, relowner, relrowsecurity, relforcerowsecurity, relacl::text,
            relreplident, reloptions, relfilenode, obj_description(oid)
        FROM pg_class WHERE relnamespace = %s::regnamespace ORDER BY relname""",
    "columns": """
        SELECT attrelid::regclass::text, attnum, attname, format_type(atttypid, atttypmod), attnotnull,
            attisdropped, attidentity, attgenerated, attacl::text, pg_get_expr(adbin, adrelid)
        FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE relnamespace = %s::regnamespace AND attnum > 0 ORDER BY 1, 2""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, convalidated, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = %s::regnamespace ORDER BY 1, 2""",
    "indexes": """
        SELECT pg_get_indexdef(indexrelid), indisvalid FROM pg_index
        JOIN pg_class ON pg_class.oid = indexrelid
        WHERE relnamespace = %s::regnamespace ORDER BY 1""",
    "triggers": """
        SELECT pg_get_triggerdef(pg_trigger.oid), tgenabled FROM pg_trigger
        JOIN pg_class ON pg_class.oid = tgrelid
        WHERE relnamespace = %s::regnamespace ORDER BY 1""",
    "policies": """
        SELECT tablename, policyname, permissive, roles::text, cmd, qual, with_check
        FROM pg_policies WHERE schemaname = %s ORDER BY 1, 2""",
    "functions": "SELECT oid, proname, prosrc FROM pg_proc WHERE pronamespace = %s::regnamespace ORDER BY 1",
    "types": "SELECT oid, typname FROM pg_type WHERE typnamespace = %s::regnamespace ORDER BY 1",
    "sequences": "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = %s ORDER BY 1",
}


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    made = Product(tmp_path_factory.mktemp("data"))
    yield made
    made.drop()


@pytest.fixture(scope="module")
def before(database):
    """What the product's schema was before any dashboard saw it."""
    return database.snapshot("public")


@pytest.fixture(scope="module")
def product(database, before):
    """The database with the dashboard on it."""
    done = database.manage("migrate")
    assert done.returncode == 0, done.stderr
    return database


# --- Migrations ------------------------------------------------------------------


def test_the_snapshot_sees_what_it_must(before):
    """Guards the tests below: a catalogue query that finds nothing would let everything pass."""
    empty = [name for name, found in before.items() if not found]
    assert empty == []
    tables = PRODUCT_TABLES | {"django_migrations", "auth_user"}
    assert {name for name in before if name.startswith("rows of ")} == {f"rows of {name}" for name in tables}
    assert len(before["rows of workspace_assets"]) == len(ODDITIES) + len(CROWD_IDS)


def test_migrations_leave_the_products_schema_as_it_was(product, before):
    assert product.snapshot("public") == before


def test_our_tables_are_in_a_schema_of_their_own(product):
    ours = {
        model._meta.db_table
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed
        and not (model._meta.app_label == "assets" and model._meta.model_name in UPSTREAM_MODELS)
    }
    elsewhere = {(schema, table) for schema, table in product.tables() if schema != "public"}
    assert {schema for schema, _ in elsewhere} == {"dashboard"}
    found = {table for _, table in elsewhere}
    assert found >= ours | {"django_migrations", "procrastinate_jobs"}
    assert not found & PRODUCT_TABLES


def test_a_second_migrate_does_nothing(product, before):
    ours = product.snapshot("dashboard")
    done = product.manage("migrate")
    assert done.returncode == 0, done.stderr
    assert "No migrations to apply" in done.stdout
    assert product.snapshot("dashboard") == ours


def test_the_overview_is_counted_into_our_own_tables(product, before):
    done = product.manage("refresh_overview", "--json")
    assert done.returncode == 0, done.stderr
    with product.connect() as connection:
        counted = "SELECT kind, sum(count) FROM dashboard.assets_rollup GROUP BY kind"
        numbers = dict(connection.execute(counted).fetchall())
    assert numbers["model"] == numbers["top_user"] == len(ODDITIES) + len(CROWD_IDS)
    assert product.snapshot("public") == before
    assert product.snapshot("public") == before


def test_check_accepts_the_database(product):
    done = product.manage("check", "--database", "default")
    assert done.returncode == 0, done.stderr


def test_what_index_advice_prints_is_all_that_its_owner_has_to_run(tmp_path_factory):
    made = Product(tmp_path_factory.mktemp("data"))
    try:
        assert made.manage("migrate").returncode == 0
        with made.connect() as owner:
            owner.execute("CREATE INDEX assets_seed ON workspace_assets (width)")
            owner.execute("CREATE INDEX of_ours ON workspace_assets (created_at, id)")
            owner.execute("INSERT INTO workspace_assets SELECT * FROM workspace_assets WHERE false")
            advice = made.manage("index_advice")
            assert advice.returncode == 1
            statements = [part.strip() for part in advice.stdout.split(";\n") if part.strip()]
            named = {line for line in advice.stdout.splitlines() if line.startswith("CREATE")}
            # Of the product's own: by user and by time of expiry, but for ties; and ours, read backwards.
            assert "-- Nearly there: idx_workspace_assets_user, for" in advice.stdout
            assert "-- Nearly there: idx_workspace_assets_expires, for" in advice.stdout
            assert not any(
                f'"{name}"' in line for name in ("assets_newest", "library_tags") for line in named
            )
            assert 'CREATE INDEX CONCURRENTLY "dashboard_assets_seed"' in advice.stdout
            for statement in statements:
                owner.execute(statement)
        again = made.manage("index_advice")
        assert (again.returncode, "CREATE" in again.stdout) == (0, False), again.stdout
        listed = json.loads(made.manage("index_advice", "--json").stdout)
        assert {each["state"] for each in listed} == {"there", "nearly"}
    finally:
        made.drop()


# --- A database that lacks something ---------------------------------------------


@pytest.fixture(scope="module")
def lacking(tmp_path_factory):
    made = Product(tmp_path_factory.mktemp("data"))
    with made.connect() as connection:
        connection.execute("ALTER TABLE workspace_assets DROP COLUMN generation_seed, DROP COLUMN expires_at")
        connection.execute("ALTER TABLE jobs DROP COLUMN template_name")
        connection.execute("DROP TABLE user_library")
    yield made
    made.drop()


MISSING = [
    "The table workspace_assets has no column generation_seed (bigint).",
    "The table workspace_assets has no column expires_at (timestamp with time zone).",
    "The table jobs has no column template_name (text).",
    "The table user_library is missing.",
]


def complaints(text):
    """The sentences of the checks' messages, in their order."""
    return [
        line.split(") ", 1)[1].strip() for line in text.splitlines() if "assets.E0" in line and ") " in line
    ]


def test_check_names_each_missing_column_and_table(lacking):
    done = lacking.manage("check", "--database", "default")
    assert done.returncode != 0
    assert sorted(complaints(done.stderr)) == sorted(MISSING)


def test_migrate_refuses_such_a_database_and_leaves_nothing_behind(lacking):
    tables, before = lacking.tables(), lacking.snapshot("public")
    done = lacking.manage("migrate")
    assert done.returncode != 0
    assert sorted(complaints(done.stderr)) == sorted(MISSING)
    assert lacking.tables() == tables
    assert lacking.snapshot("public") == before
    with lacking.connect() as connection:
        assert connection.execute("SELECT to_regnamespace('dashboard')").fetchone() == (None,)


# --- The pages -------------------------------------------------------------------

ALL = set(ODDITIES)
NOT_ADA = {"profile_gone", "nameless", "nothing_known"}
UNDATED = {"undated", "nothing_known"}
FOREVER = {"forever", "nothing_known"}
HAS_STEPS = ALL - {
    "no_settings", "json_null", "list_settings", "text_settings", "nested_settings", "nothing_known",
}  # fmt: skip
A_PROMPT = ALL - {"no_prompt", "odd_prompt", "nothing_known"}
# Each filter, and the rows that it selects; the crowd is apart.
SELECTIONS = [
    ({"user": "ada"}, ALL - NOT_ADA),
    ({"user": str(GONE)}, {"profile_gone", "nothing_known"}),
    ({"user": str(NAMELESS)}, {"nameless"}),
    ({"job": str(JOB)}, {"plain", "sibling"}),
    ({"job": str(GONE_JOB)}, {"job_gone"}),
    ({"type": "video"}, {"sibling"}),
    ({"type": "image", "user": "ada"}, ALL - NOT_ADA - {"sibling"}),
    ({"model": "fal-ai/wan-i2v"}, {"sibling"}),
    ({"model": "SDXL"}, {"odd_model"}),
    ({"model": "sdxl"}, ALL - {"sibling", "odd_model", "nothing_known"}),
    ({"expires": "expired"}, {"expired"}),
    ({"expires": "1h"}, {"soon"}),
    ({"expires": "24h"}, {"soon", "tomorrow"}),
    ({"expires": "3d"}, {"soon", "tomorrow"}),
    ({"expires": "7d", "user": "ada"}, ALL - NOT_ADA - FOREVER - {"expired"}),
    ({"expires": "never"}, FOREVER),
    ({"q": "FOX snow"}, A_PROMPT),
    ({"q": "žluťoučký"}, {"odd_prompt"}),
    ({"seed": "0"}, {"seed_zero", "nothing_known"}),
    ({"seed": str(-(2**63))}, {"seed_negative"}),
    ({"mime": "video/mp4"}, {"sibling"}),
    ({"mime": "image/jpeg"}, {"odd_model"}),
    ({"created_after": f"{NOW - 2.5 * A_DAY:%Y-%m-%dT%H:%M}"}, ALL - UNDATED),
    ({"created_before": f"{NOW - A_DAY:%Y-%m-%dT%H:%M}", "user": "ada"}, ALL - NOT_ADA - UNDATED),
    ({"created_before": f"{NOW - 9 * A_DAY:%Y-%m-%dT%H:%M}"}, set()),
    ({"size_min": "1 GB"}, {"huge"}),
    ({"size_max": "999"}, {"empty_file", "nothing_known"}),
    ({"setting": "steps=30", "q": "fox"}, HAS_STEPS & A_PROMPT),
    ({"setting": "conditioning_settings.max_num_frames>=81"}, {"nested_settings"}),
    ({"setting": ["steps", "sampler=euler"], "seed": "0"}, {"seed_zero"}),
]
SORTS = ["-created_at", "created_at", "expires_at", "-file_size_bytes"]
VIEWS = ["grid", "table"]
ADMIN_MODELS = ["profile", "job", "workspaceasset", "libraryasset"]


def gallery(**parameters):
    return "/assets/?" + urlencode(parameters, doseq=True)


FOLLOWED = [
    "/",
    "/assets/",
    *(gallery(sort=sort, view=view) for sort in SORTS for view in VIEWS),
    *(gallery(**parameters, view=view) for parameters, _ in SELECTIONS for view in VIEWS),
]
PAGES = {
    "/overview/",
    "/queries/",
    "/suggest/users/",
    "/suggest/jobs/",
    "/admin/",
    *(f"/assets/{pk}/" for pk in IDS.values()),
    *(f"/assets/{pk}/settings.json" for pk in IDS.values()),
    *(f"/jobs/{pk}/" for pk in (JOB, BARE_JOB, GONE_JOB)),
    *(f"/users/{pk}/" for pk in (ADA, NAMELESS, GONE)),
    *(f"/admin/assets/{model}/" for model in ADMIN_MODELS),
    *(f"/admin/assets/workspaceasset/?q={pk}" for pk in (ADA, GONE, GONE_JOB)),
    f"/admin/assets/profile/{NAMELESS}/change/",
    f"/admin/assets/job/{BARE_JOB}/change/",
    f"/admin/assets/workspaceasset/{IDS['nothing_known']}/change/",
    f"/admin/assets/libraryasset/{LIBRARY_ROW}/change/",
}
NOWHERE = {f"/assets/{GONE}/", f"/jobs/{ADA}/", f"/users/{JOB}/"}


@pytest.fixture(scope="module")
def answers(product):
    wanted = dict.fromkeys(FOLLOWED, True) | dict.fromkeys([*PAGES, *NOWHERE], False)
    done = product.run("-m", "tests.fetch_pages", given=json.dumps(wanted))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def names(answer):
    """The odd rows that an answer lists, and how many of the crowd."""
    known = {str(pk): name for name, pk in IDS.items()}
    assert set(answer["ids"]) <= known.keys() | set(map(str, CROWD_IDS))
    return {known[pk] for pk in answer["ids"] if pk in known}


def test_every_page_opens(answers):
    failed = {url: answers[url]["status"] for url in [*FOLLOWED, *PAGES] if answers[url]["status"] != 200}
    assert failed == {}
    assert {url: answers[url]["status"] for url in NOWHERE} == dict.fromkeys(NOWHERE, 404)


@pytest.mark.parametrize("url", FOLLOWED[: 2 + len(SORTS) * len(VIEWS)])
def test_the_gallery_lists_each_row_once_in_any_order(answers, url):
    everything = [str(pk) for pk in (*IDS.values(), *CROWD_IDS)]
    assert sorted(answers[url]["ids"]) == sorted(everything)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(("parameters", "expected"), SELECTIONS)
def test_each_filter_selects_its_rows(answers, parameters, expected, view):
    answer = answers[gallery(**parameters, view=view)]
    assert answer["errors"] == []
    assert names(answer) == expected


@pytest.mark.parametrize("view", VIEWS)
def test_rows_without_a_date_come_last(answers, view):
    by_creation = answers[gallery(sort="-created_at", view=view)]["ids"]
    undated = {str(IDS[name]) for name in UNDATED}
    assert set(by_creation[-27:]) >= undated  # the 2, and 25 of the crowd
    by_expiry = answers[gallery(sort="expires_at", view=view)]["ids"]
    assert set(by_expiry[-2:]) == {str(IDS[name]) for name in FOREVER}
    assert by_expiry[:3] == [str(IDS[name]) for name in ("expired", "soon", "tomorrow")]


@pytest.mark.parametrize("name", ODDITIES)
def test_the_page_of_each_odd_row_is_of_that_row(answers, name):
    pk = str(IDS[name])
    assert answers[f"/assets/{pk}/"]["ids"][0] == pk
    settings = ORDINARY | ODDITIES[name]
    settings = settings["generation_settings"] and settings["generation_settings"].obj
    assert json.loads(answers[f"/assets/{pk}/settings.json"]["html"]) == settings


def test_a_job_shows_its_assets_by_index_even_when_it_is_gone(answers):
    assert answers[f"/jobs/{JOB}/"]["ids"] == [str(IDS["plain"]), str(IDS["sibling"])]
    assert answers[f"/jobs/{BARE_JOB}/"]["ids"] == [str(IDS["bare_job"])]
    assert answers[f"/jobs/{GONE_JOB}/"]["ids"] == [str(IDS["job_gone"])]


def test_a_user_shows_assets_even_without_a_profile(answers):
    assert names(answers[f"/users/{GONE}/"]) == {"profile_gone", "nothing_known"}
    assert names(answers[f"/users/{NAMELESS}/"]) == {"nameless"}
    listed = names(answers[f"/users/{ADA}/"])
    assert listed
    assert listed <= ALL - NOT_ADA


@pytest.mark.parametrize(
    ("path", "pks"),
    [
        ("profile/", {ADA, NAMELESS, CROWD}),
        ("job/", {JOB, BARE_JOB}),
        ("libraryasset/", {LIBRARY_ROW}),
        (f"workspaceasset/?q={ADA}", {IDS[name] for name in ALL - NOT_ADA}),
        (f"workspaceasset/?q={GONE}", {IDS["profile_gone"], IDS["nothing_known"]}),
        (f"workspaceasset/?q={GONE_JOB}", {IDS["job_gone"]}),
    ],
)
def test_the_back_office_lists_the_rows(answers, path, pks):
    assert listed_rows(answers[f"/admin/assets/{path}"]) == pks


def test_the_back_office_opens_with_a_full_page_of_assets(answers):
    listed = listed_rows(answers["/admin/assets/workspaceasset/"])
    assert len(listed) == 50
    assert listed <= {*IDS.values(), *CROWD_IDS}


def listed_rows(answer):
    return {UUID(pk) for pk in re.findall(r'href="/admin/assets/\w+/([0-9a-f-]{36})/change/', answer["html"])}


def test_looking_changes_nothing_of_the_products(product, before, answers):
    assert product.snapshot("public") == before


@pytest.mark.skipif(
    importlib.util.find_spec("assets.management.commands.demo") is None, reason="There is no such command."
)
def test_the_demo_is_refused(product, before):
    done = product.manage("demo")
    assert done.returncode != 0
    assert "UPSTREAM_TABLES" in done.stderr
    assert product.snapshot("public") == before
