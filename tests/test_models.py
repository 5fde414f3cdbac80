"""The product's tables as the migrations make them, and what the models ask of them."""

import random
import re
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from assets.filters import LIBRARY_SORTS, REMOVED_SORTS, SORTS, LibraryFilterSet, RemovedFilterSet
from assets.models import Disposition, Job, LibraryAsset, Operation, Profile, WorkspaceAsset
from assets.models.upstream import usernames
from assets.pagination import keyset_page
from tests.factories import GONE, make_asset, make_assets, make_job, make_user

pytestmark = pytest.mark.django_db

# --- Columns -----------------------------------------------------------------------

# name | type | null | default, as the product's table document has them
WORKSPACE_ASSETS = """
    id                  | uuid                     | no  | gen_random_uuid()
    user_id             | uuid                     | no  |
    asset_type          | text                     | no  |
    temp_storage_path   | text                     | no  |
    file_size_bytes     | bigint                   | no  |
    mime_type           | text                     | no  |
    duration_seconds    | numeric(10,3)            | yes |
    job_id              | uuid                     | no  |
    asset_index         | integer                  | no  | 0
    generation_seed     | bigint                   | no  |
    original_prompt     | text                     | no  |
    model_used          | text                     | no  |
    generation_settings | jsonb                    | yes | '{}'
    created_at          | timestamp with time zone | yes | now()
    expires_at          | timestamp with time zone | yes | now() + 7 days
    thumbnail_path      | text                     | yes |
    width               | integer                  | yes |
    height              | integer                  | yes |
"""
PROFILES = """
    id                  | uuid                     | no  | gen_random_uuid()
    username            | text                     | yes |
    subscription_status | text                     | yes |
    token_balance       | integer                  | yes |
    created_at          | timestamp with time zone | yes | now()
    updated_at          | timestamp with time zone | yes | now()
    age_verified        | boolean                  | yes |
"""
JOBS = """
    id                  | uuid                     | no  | gen_random_uuid()
    user_id             | uuid                     | yes |
    job_type            | text                     | yes |
    status              | text                     | yes | 'queued'
    error_message       | text                     | yes |
    attempts            | integer                  | yes |
    metadata            | jsonb                    | yes |
    created_at          | timestamp with time zone | yes | now()
    started_at          | timestamp with time zone | yes |
    completed_at        | timestamp with time zone | yes |
    format              | text                     | yes |
    quality             | text                     | yes |
    model_type          | text                     | yes |
    original_prompt     | text                     | yes |
    enhanced_prompt     | text                     | yes |
    moderation_status   | text                     | yes |
    reviewed_at         | timestamp with time zone | yes |
    reviewed_by         | uuid                     | yes |
    review_notes        | text                     | yes |
    destination         | text                     | yes |
    template_name       | text                     | yes |
"""
USER_LIBRARY = """
    id                  | uuid                     | no  | gen_random_uuid()
    user_id             | uuid                     | no  |
    asset_type          | text                     | no  |
    storage_path        | text                     | no  |
    file_size_bytes     | bigint                   | no  |
    mime_type           | text                     | no  |
    duration_seconds    | numeric(10,3)            | yes |
    original_prompt     | text                     | no  |
    model_used          | text                     | no  |
    generation_seed     | bigint                   | yes |
    collection_id       | uuid                     | yes |
    custom_title        | text                     | yes |
    tags                | text[]                   | yes | '{}'
    is_favorite         | boolean                  | yes | false
    visibility          | text                     | yes | 'private'
    created_at          | timestamp with time zone | yes | now()
    updated_at          | timestamp with time zone | yes | now()
    thumbnail_path      | text                     | yes |
    width               | integer                  | yes |
    height              | integer                  | yes |
"""
DOCUMENTED = [
    ("workspace_assets", WORKSPACE_ASSETS),
    ("profiles", PROFILES),
    ("jobs", JOBS),
    ("user_library", USER_LIBRARY),
]
# PostgreSQL's way of writing a default, and the document's
DEFAULTS = {
    "CURRENT_TIMESTAMP": "now()",
    "(CURRENT_TIMESTAMP + '7 days'::interval)": "now() + 7 days",
    "(CURRENT_TIMESTAMP + '7 days 00:00:00'::interval)": "now() + 7 days",
}


def query(sql, *params):
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall() if cursor.description else []


def columns(table):
    rows = query(
        """
        SELECT attname, format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN 'no' ELSE 'yes' END,
            coalesce(pg_get_expr(adbin, adrelid), '')
        FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
        """,
        table,
    )
    return [(*row[:3], DEFAULTS.get(row[3]) or re.sub(r"::[a-z]+(\[\])?$", "", row[3])) for row in rows]


@pytest.mark.parametrize(("table", "documented"), DOCUMENTED)
def test_columns_are_those_of_the_document(table, documented):
    expected = [
        tuple(cell.strip() for cell in line.split("|")) for line in documented.splitlines() if line.strip()
    ]
    assert sorted(columns(table)) == sorted(expected)


def test_each_row_of_a_table_is_found_by_its_uuid():
    keys = query(
        """
        SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE contype = 'p' AND conrelid = ANY (%s::regclass[])
        """,
        [table for table, _ in DOCUMENTED],
    )
    assert dict(keys) == {table: "PRIMARY KEY (id)" for table, _ in DOCUMENTED}


# --- A row inserted by another program ------------------------------------------------


def insert_bare(**values):
    """A row with nothing but what has no default."""
    row = {
        "user_id": values.pop("user_id", None) or make_user().id,
        "job_id": values.pop("job_id", None) or make_job().id,
        "asset_type": "image",
        "temp_storage_path": "0.png",
        "file_size_bytes": 1,
        "mime_type": "image/png",
        "generation_seed": 0,
        "original_prompt": "",
        "model_used": "sdxl",
    } | values
    names = ", ".join(row)
    places = ", ".join(["%s"] * len(row))
    return query(f"INSERT INTO workspace_assets ({names}) VALUES ({places}) RETURNING id", *row.values())[0][
        0
    ]


def test_a_bare_insert_gets_its_defaults_from_the_database():
    first, second = (WorkspaceAsset.objects.get(id=insert_bare()) for _ in range(2))
    now = query("SELECT now()")[0][0]
    assert first.id != second.id
    assert first.id.version == 4
    assert first.asset_index == 0
    assert first.generation_settings == {}
    assert first.created_at == now
    assert first.expires_at == now + timedelta(days=7)
    empty = ("duration_seconds", "thumbnail_path", "width", "height")
    assert [getattr(first, name) for name in empty] == [None] * 4


def test_a_row_of_the_models_gets_the_same_defaults():
    job = make_job()
    made = WorkspaceAsset.objects.create(
        user_id=job.user_id, job=job, asset_type="image", file_size_bytes=1, generation_seed=0
    )
    made.refresh_from_db()
    assert isinstance(made.id, UUID)
    assert (made.asset_index, made.generation_settings) == (0, {})
    assert made.expires_at - made.created_at == timedelta(days=7)


def test_the_other_tables_have_their_defaults_too():
    (user_id,) = query("INSERT INTO profiles DEFAULT VALUES RETURNING id")[0]
    (job_id,) = query("INSERT INTO jobs DEFAULT VALUES RETURNING id")[0]
    profile, job = Profile.objects.get(id=user_id), Job.objects.get(id=job_id)
    assert profile.created_at == profile.updated_at == job.created_at == query("SELECT now()")[0][0]
    assert (job.status, job.user_id) == ("queued", None)
    saved = LibraryAsset.objects.create(user=profile, asset_type="image", file_size_bytes=1)
    saved.refresh_from_db()
    assert (saved.tags, saved.is_favorite, saved.visibility) == ([], False, "private")
    assert saved.created_at is not None


def test_large_and_exact_numbers_survive():
    pk = insert_bare(
        file_size_bytes=2**63 - 1, generation_seed=-(2**63), duration_seconds=Decimal("1234567.125")
    )
    asset = WorkspaceAsset.objects.get(id=pk)
    assert (asset.file_size_bytes, asset.generation_seed) == (2**63 - 1, -(2**63))
    assert asset.duration_seconds == Decimal("1234567.125")


@pytest.mark.parametrize("value", ["null", "[1, {}]", '"text"', "7", '{"a": {"b": [null, 1.5]}}'])
def test_settings_of_any_shape_are_read(value):
    pk = insert_bare(generation_settings=value)
    assert query("SELECT generation_settings = %s::jsonb FROM workspace_assets", value) == [(True,)]
    WorkspaceAsset.objects.get(id=pk)


# --- What is refused ------------------------------------------------------------------


def test_an_unknown_type_is_refused():
    with pytest.raises(IntegrityError, match="workspace_assets_asset_type_check"):
        insert_bare(asset_type="audio")


def test_a_second_asset_of_the_same_job_and_index_is_refused():
    job = make_job()
    insert_bare(job_id=job.id, asset_index=3)
    insert_bare(job_id=job.id, asset_index=4)
    with pytest.raises(IntegrityError, match="workspace_assets_job_id_asset_index_key"), transaction.atomic():
        insert_bare(job_id=job.id, asset_index=3)


def test_a_second_profile_of_the_same_name_is_refused_but_many_may_have_none():
    for name in ("ada", None, None):
        Profile.objects.create(username=name)
    with pytest.raises(IntegrityError, match="username"), transaction.atomic():
        Profile.objects.create(username="ada")


@pytest.mark.parametrize("column", ["user_id", "job_id"])
def test_a_key_to_nothing_is_refused(column):
    with (
        pytest.raises(IntegrityError, match=f"{column}.*foreign key|foreign key.*{column}"),
        transaction.atomic(),
    ):
        insert_bare(**{column: GONE})
        query("SET CONSTRAINTS ALL IMMEDIATE")


@pytest.mark.parametrize("make", [make_asset, make_job], ids=["asset", "job"])
def test_a_profile_that_something_names_cannot_be_deleted(make):
    user = make_user()
    make(user)
    with pytest.raises(IntegrityError, match="foreign key"), transaction.atomic():
        query("DELETE FROM profiles WHERE id = %s", user.id)
        query("SET CONSTRAINTS ALL IMMEDIATE")


@pytest.mark.parametrize("line", [line for line in WORKSPACE_ASSETS.splitlines() if "| no " in line])
def test_a_null_where_the_document_has_none_is_refused(line):
    column = line.split("|")[0].strip()
    asset = make_asset()
    with pytest.raises(IntegrityError, match=f'"{column}"'), transaction.atomic():
        query(f"UPDATE workspace_assets SET {column} = NULL WHERE id = %s", asset.id)


# --- Names ----------------------------------------------------------------------------


def test_usernames_leaves_out_the_gone_and_the_nameless(django_assert_num_queries):
    ada, nameless = make_user("ada"), Profile.objects.create(username=None)
    with django_assert_num_queries(1):
        assert usernames([ada.id, ada.id, nameless.id, GONE]) == {ada.id: "ada"}


# --- Aggregates --------------------------------------------------------------------------


def test_totals_by_type_are_of_the_selection_alone():
    user = make_user()
    make_assets(2, user, file_size_bytes=2**62)
    make_assets(3, user, asset_type="video", file_size_bytes=0)
    make_asset(file_size_bytes=5)
    totals = WorkspaceAsset.objects.for_user(user.id).totals_by_type()
    assert list(totals) == [
        {"asset_type": "image", "count": 2, "total_bytes": 2**63},
        {"asset_type": "video", "count": 3, "total_bytes": 0},
    ]
    assert list(WorkspaceAsset.objects.for_user(GONE).totals_by_type()) == []


@pytest.mark.parametrize("seed", range(5))
def test_the_loose_scan_finds_what_select_distinct_does(seed):
    chance = random.Random(seed)
    names = ["", " ", "SDXL", "sdxl", "fal-ai/wan-i2v", "žluť", "🦊", "%", "a'b", "x" * 300]
    names = chance.sample(names, chance.randint(1, len(names)))
    for _ in range(chance.randint(1, 60)):
        make_asset(model_used=chance.choice(names), asset_type=chance.choice(["image", "video"]))
    columns = ["asset_type", "model_used"]
    expected = {
        column: [value for (value,) in query(f"SELECT DISTINCT {column} FROM workspace_assets ORDER BY 1")]
        for column in columns
    }
    assert WorkspaceAsset.objects.all().distinct_values(columns, at_most=100) == expected
    fewer = {column: values[:2] for column, values in expected.items()}
    assert WorkspaceAsset.objects.all().distinct_values(columns, at_most=2) == fewer


def test_the_loose_scan_of_an_empty_table_finds_nothing():
    found = WorkspaceAsset.objects.all().distinct_values(["asset_type", "model_used"], at_most=10)
    assert found == {"asset_type": [], "model_used": []}


# --- Indexes -----------------------------------------------------------------------------


@pytest.mark.parametrize("model", [Profile, Job, WorkspaceAsset, LibraryAsset, Disposition])
def test_the_database_has_each_index_that_the_model_names(model):
    found = {
        name
        for (name,) in query("SELECT indexname FROM pg_indexes WHERE tablename = %s", model._meta.db_table)
    }
    wanted = {index.name for index in model._meta.indexes}
    assert wanted
    assert wanted <= found


@pytest.mark.parametrize(
    ("start", "index"),
    [
        # What production has an index for, and the page as it opens.
        ("(created_at DESC, id DESC)", "assets_newest"),
        ("(user_id, created_at DESC", "assets_user_newest"),
        ("(expires_at", "assets_expiring"),
        ("(job_id, asset_index)", "workspace_assets_job_id_asset_index_key"),
    ],
)
def test_the_indexes_of_the_common_queries_begin_with_their_columns(start, index):
    (definition,) = query("SELECT indexdef FROM pg_indexes WHERE indexname = %s", index)[0]
    assert f"USING btree {start}" in definition


@pytest.fixture
def many():
    """Enough rows, of enough users and jobs, that one index is better than another."""
    user = make_user()
    users, now = [user, *(make_user() for _ in range(9))], timezone.now()
    for number in range(60):
        owner = users[number % 10]
        make_assets(
            20,
            owner,
            asset_type="video" if number % 3 else "image",
            model_used=f"model {number % 5}",
            created_at=now - timedelta(minutes=number),
            expires_at=now + timedelta(hours=number * 3),
        )
    walk_indexes("workspace_assets")
    return user


def walk_indexes(table):
    """So few rows could as well be sorted: what is asked is which index spares that."""
    query(f"ANALYZE {table}")
    for other in ("seqscan", "bitmapscan", "sort", "incremental_sort"):
        query(f"SET LOCAL enable_{other} = off")


def plan_of(run):
    """How the database would run the first statement of some work."""
    with CaptureQueriesContext(connection) as captured:
        run()
    statement = captured[0]["sql"].replace("%", "%%")
    return "\n".join(line for (line,) in query(f"EXPLAIN {statement}"))


def assert_walks(index, queryset, sort):
    """The page's rows come from that index in their order: nothing is sorted but ties."""
    plan = plan_of(lambda: keyset_page(queryset, sort, size=60))
    assert re.search(
        rf"Index (Only )?Scan( Backward)? using {index} on {queryset.model._meta.db_table}", plan
    ), plan
    assert not re.search(r"^ *(->)? *Sort ", plan, re.MULTILINE), plan


ASSETS = WorkspaceAsset.objects


def test_the_gallerys_newest_page_walks_its_index(many):
    assert_walks("assets_newest", ASSETS.all(), SORTS["-created_at"][1])


def test_the_gallerys_oldest_page_walks_the_same_index_backward(many):
    assert_walks("assets_newest", ASSETS.all(), SORTS["created_at"][1])


def test_a_users_newest_page_walks_its_index(many):
    assert_walks("assets_user_newest", ASSETS.for_user(many.id), SORTS["-created_at"][1])


def test_what_expires_soon_walks_its_index(many):
    soon = ASSETS.expiring(timezone.now(), timedelta(days=1))
    assert_walks("assets_expiring", soon, SORTS["expires_at"][1])


def test_the_largest_page_walks_its_index(many):
    assert_walks("assets_largest", ASSETS.all(), SORTS["-file_size_bytes"][1])


def test_a_type_and_model_walks_its_index(many):
    pair = ASSETS.filter(asset_type="video", model_used="model 1")
    assert_walks("assets_type_model_newest", pair, SORTS["-created_at"][1])


def test_a_jobs_assets_are_found_by_its_index(many):
    assets = ASSETS.for_job(Job.objects.filter(user=many).first().id).order_by("asset_index")
    assert "workspace_assets_job_id_asset_index_key" in plan_of(lambda: list(assets))


def test_a_users_totals_come_from_the_index_alone(many):
    plan = plan_of(lambda: list(ASSETS.for_user(many.id).totals_by_type()))
    assert "Index Only Scan using assets_user_type_model_newest" in plan


@pytest.fixture
def saved():
    """A library with a rare model, a rare type and a rare tag."""
    user, now = make_user(), timezone.now()
    LibraryAsset.objects.bulk_create(
        LibraryAsset(
            user=user,
            asset_type="image" if number % 20 else "video",
            model_used=f"model {number % 25}",
            tags=["fox"] if number % 50 == 0 else ["common", f"tag {number}"],
            file_size_bytes=number,
            created_at=now - timedelta(minutes=number),
            storage_path=f"{number}.png",
            mime_type="image/png",
            original_prompt="",
        )
        for number in range(1_000)
    )
    walk_indexes("user_library")


@pytest.mark.parametrize("sort", ["-created_at", "created_at"])
@pytest.mark.parametrize(
    ("filters", "index"), [("type=video", "library_type_newest"), ("model=model 7", "library_model_newest")]
)
def test_the_librarys_filters_walk_their_index(saved, filters, index, sort):
    filterset = LibraryFilterSet(QueryDict(filters))
    assert_walks(index, filterset.qs, LIBRARY_SORTS[sort][1])


def test_the_librarys_tags_are_found_by_their_index(saved):
    query("SET LOCAL enable_bitmapscan = on")
    query("SET LOCAL enable_indexscan = off")
    plan = plan_of(lambda: list(LibraryFilterSet(QueryDict("tag=fox")).qs))
    assert "library_tags" in plan


@pytest.fixture
def left():
    """A ledger of every state, and an operation that still holds some of it."""
    actor = User.objects.create(username="actor")
    first, last = (Operation.objects.create(action="delete", actor=actor) for _ in range(2))
    now = timezone.now()
    states = [
        {"purge_after": now + timedelta(hours=1)},
        {"purge_after": now, "restored_at": now},
        {"purge_after": now, "purged_at": now},
    ]
    Disposition.objects.bulk_create(
        Disposition(
            asset_id=GONE,
            action="deleted",
            row={},
            operation=last if number % 10 == 0 else first,
            disposed_at=now - timedelta(minutes=number),
            **states[number % 3],
        )
        for number in range(1_200)
    )
    walk_indexes("assets_disposition")
    return last


@pytest.mark.parametrize("sort", REMOVED_SORTS)
@pytest.mark.parametrize(
    ("state", "index"),
    [
        ("restorable", "ledger_held_newest"),
        ("restored", "ledger_restored_newest"),
        ("purged", "ledger_purged_newest"),
    ],
)
def test_what_left_walks_the_index_of_its_state(left, state, index, sort):
    filterset = RemovedFilterSet(QueryDict(f"state={state}"))
    assert_walks(index, filterset.qs, REMOVED_SORTS[sort][1])


def test_until_when_an_operation_can_be_undone_comes_from_its_index(left):
    held = Disposition.objects.restorable().filter(operation=left).order_by("purge_after")
    plan = plan_of(lambda: held.values_list("purge_after", flat=True).first())
    assert "ledger_operation_held" in plan
    assert "Sort" not in plan
