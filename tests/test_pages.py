"""What the pages show: the gallery, one asset, a job, a user, the common queries."""

import json
from datetime import timedelta
from uuid import uuid4

import markupsafe
import pytest
import time_machine
from django.core.cache import cache
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from assets import bulk, dispositions
from assets.models import Disposition, Job, LibraryAsset, Operation, Profile, Verdict, WorkspaceAsset
from assets.reviews import review
from assets.views import cards
from tests.factories import GONE, make_asset, make_assets, make_job, make_user, unenforce_keys
from tests.html import setting_lines

pytestmark = pytest.mark.django_db


def detail_of(asset, query=""):
    return reverse("detail", args=[asset.id]) + query


# --- Gallery -----------------------------------------------------------------------


@pytest.mark.parametrize("view", ["grid", "table"])
def test_gallery_pages_through_everything_once(fetch, view):
    made = [make_asset(ago=timedelta(minutes=minute)) for minute in range(130)]
    seen, url = [], f"/assets/?view={view}"
    while url:
        shown = fetch(url)
        assert shown.total == 130
        seen += shown.ids
        following = shown.link("next")
        url = f"/assets/{following}" if following else None
    assert seen == [str(asset.id) for asset in made]
    assert fetch(f"/assets/{shown.link('prev')}").ids == seen[60:120]


@pytest.mark.parametrize("view", ["grid", "table"])
def test_gallery_shows_what_a_card_is_about(fetch, view):
    user = make_user("ada")
    asset = make_asset(
        user,
        asset_type="video",
        duration_seconds="4.2",
        model_used="fal-ai/wan-i2v",
        original_prompt="a lighthouse in fog" + " and rain" * 20,
        expires_in=timedelta(hours=3, minutes=5),
    )
    shown = fetch("/assets/", view=view)
    assert shown.ids == [str(asset.id)]
    length = "▶ 0:04" if view == "grid" else "video 0:04"
    for text in (length, "fal-ai/wan-i2v", "a lighthouse in fog", "in and r…", "ada", "in 3 h"):
        assert text in shown.text
    assert f'href="/assets/{asset.id}/?view={view}"' in shown.html
    assert f'src="/media/assets/{asset.id}/preview"' in shown.html


@pytest.mark.parametrize("view", ["grid", "table"])
def test_a_card_changes_with_all_that_it_tells(fetch, staff, view):
    owner = make_user("ada")
    asset = make_asset(owner, expires_in=timedelta(hours=3, minutes=30), original_prompt="a fox", width=512)
    changes = {
        "a hen": lambda: change(original_prompt="a hen"),
        "grace": lambda: type(owner).objects.filter(pk=owner.pk).update(username="grace"),
        "in 5 h": lambda: change(expires_at=asset.expires_at + timedelta(hours=2)),
        "kolors": lambda: change(model_used="kolors"),
        "▶ 0:09" if view == "grid" else "video 0:09": lambda: change(asset_type="video", duration_seconds=9),
        "flagged by": lambda: review([asset.pk], verdict=Verdict.FLAGGED, note="", reviewer=staff),
    }

    def change(**values):
        WorkspaceAsset.objects.filter(pk=asset.pk).update(**values)

    for text, make in changes.items():
        before = fetch("/assets/", view=view)
        assert text not in before.html
        make()
        assert text in fetch("/assets/", view=view).html
    with time_machine.travel(timezone.now() + timedelta(hours=2), tick=False):
        assert "in 3 h" in fetch("/assets/", view=view).html


@pytest.mark.parametrize(("spaces", "is_kept"), [(0, True), (5_000, False)])
def test_only_short_cards_are_kept(fetch, spaces, is_kept):
    make_asset(make_user("ada"))
    before = cards._kept_card.cache_info().misses
    shown = fetch("/assets/", user="ada" + " " * spaces)
    assert len(shown.ids) == 1
    assert (cards._kept_card.cache_info().misses > before) == is_kept


@pytest.mark.parametrize("name", ["model_used", "content_mode"])
def test_no_card_of_a_long_value_is_kept(fetch, name):
    long = "x" * 3_000
    values = {"generation_settings": {name: long}} if name == "content_mode" else {name: long}
    make_asset(**values)
    before = cards._kept_card.cache_info().misses
    assert len(fetch("/assets/").ids) == 1
    assert cards._kept_card.cache_info().misses == before


def test_facets_count_what_choosing_them_would_leave(fetch):
    make_assets(3, model_used="flux")
    make_assets(2, model_used="flux", asset_type="video")
    make_assets(4, model_used="sdxl", asset_type="video")
    facets = fetch("/assets/", type="video").response.context["facets"]
    assert {option.label: option.count.number for option in facets.types} == {"image": 3, "video": 6}
    assert {option.label: option.count.number for option in facets.models} == {"flux": 2, "sdxl": 4}
    assert [option.label for option in facets.types if option.is_chosen] == ["video"]


def test_total_is_capped_and_counted_exactly_on_request(fetch, monkeypatch):
    monkeypatch.setattr("assets.facets.TOTAL_CAP", 5)
    monkeypatch.setattr("assets.views.gallery.PAGE_SIZE", 4)
    make_assets(7)
    shown = fetch("/assets/", type="image")
    assert "5+ assets" in shown.text
    assert 'data-total="5" data-capped' in shown.html
    assert fetch("/assets/count/?type=image").total == 7


def test_only_numbers_beyond_their_cap_may_be_of_a_moment_ago(fetch, monkeypatch):
    monkeypatch.setattr("assets.facets.FACET_CAP", 3)
    monkeypatch.setattr("assets.views.gallery.PAGE_SIZE", 4)
    doomed = [*make_assets(5, model_used="flux"), *make_assets(2, model_used="sdxl")]

    def told():
        shown = fetch("/assets/")
        facets = shown.response.context["facets"]
        models = {option.label: str(option.count) for option in facets.models}
        return shown.total, models, {option.label: str(option.count) for option in facets.verdicts}

    verdicts = {"approved": "0", "flagged": "0", "neither": "3+"}
    assert told() == (7, {"flux": "3+", "sdxl": "2"}, verdicts)
    WorkspaceAsset.objects.filter(pk__in=[doomed[0].pk, doomed[-1].pk]).delete()
    with CaptureQueriesContext(connection) as queries:
        assert told() == (5, {"flux": "3+", "sdxl": "1"}, verdicts)
    [counting] = [each["sql"] for each in queries if "counted.value" in each["sql"]]
    assert "sdxl" in counting
    assert "flux" not in counting
    make_assets(2, model_used="wan")
    cache.clear()
    assert told() == (7, {"flux": "3+", "wan": "2", "sdxl": "1"}, verdicts)


@pytest.mark.parametrize("view", ["grid", "table"])
def test_hostile_texts_are_shown_as_texts(fetch, view):
    hostile = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 }}%s"
    make_asset(make_user(hostile), original_prompt=hostile, model_used=hostile, asset_type="video")
    shown = fetch("/assets/", view=view, model=hostile)
    assert len(shown.ids) == 1
    assert "<script>alert" not in shown.html
    assert "<img src=x" not in shown.html
    assert shown.html.count(markupsafe.escape(hostile)) >= 5  # prompt, model, name and labels
    assert escape(hostile) in shown.html  # the chip


def test_an_empty_workspace_says_so(fetch):
    assert "no assets yet" in fetch("/assets/").text


def test_rows_without_times_come_last_and_are_shown(fetch):
    undated, dated = make_asset(created_at=None, expires_at=None), make_asset()
    for sort in ("-created_at", "created_at", "expires_at"):
        assert fetch("/assets/", sort=sort).ids == [str(dated.id), str(undated.id)]
    assert "never expires" in fetch("/assets/").text


@pytest.mark.parametrize("view", ["grid", "table"])
def test_assets_whose_user_and_job_are_gone_are_listed(fetch, view):
    unenforce_keys()
    asset = make_asset()
    WorkspaceAsset.objects.filter(id=asset.id).update(user_id=GONE, job_id=GONE)
    assert fetch("/assets/", view=view).ids == [str(asset.id)]
    for url in (detail_of(asset), f"/jobs/{GONE}/", f"/users/{GONE}/"):
        assert fetch(url).status == 200
    assert "its row is gone" in fetch(detail_of(asset)).text


# --- One asset ---------------------------------------------------------------------

SETTINGS = [
    {"steps": 30, "conditioning_settings": {"start_frame_num": 4}, "tags": ["a", 1, None, True]},
    {"<b>key</b>": "<script>alert(1)</script>"},
    {},
    None,
    [1, {"a": 2}],
    "text",
    7.5,
    False,
    {"deep": {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": {"j": 1}}}}}}}}}}},
    {"many": list(range(2000)), "long": "x" * 5000},
]


@pytest.mark.parametrize("shape", SETTINGS, ids=range(len(SETTINGS)))
def test_settings_of_every_shape_are_shown(fetch, client, shape):
    asset = make_asset(generation_settings=shape)
    shown = fetch(detail_of(asset))
    assert shown.status == 200
    assert "<script>alert" not in shown.html
    assert "<b>key</b>" not in shown.html
    assert json.loads(client.get(reverse("settings_json", args=[asset.id])).content) == shape


def test_settings_are_a_tree(fetch):
    shown = fetch(detail_of(make_asset(generation_settings=SETTINGS[0])))
    rows = [(depth, line.key, line.kind, line.text) for depth, line in setting_lines(shown)]
    assert rows == [
        (0, "steps", "number", "30"),
        (0, "conditioning_settings", "object", "1 key"),
        (1, "start_frame_num", "number", "4"),
        (0, "tags", "list", "4 items"),
        (1, "0", "text", "a"),
        (1, "1", "number", "1"),
        (1, "2", "null", "null"),
        (1, "3", "boolean", "true"),
    ]


def test_all_18_columns_are_shown_and_can_be_copied(fetch):
    asset = make_asset(width=640, height=480, duration_seconds="1.5", thumbnail_path="a.thumb.webp")
    shown = fetch(detail_of(asset))
    columns = shown.response.context["columns"]
    assert [column.name for column in columns] == [field.column for field in WorkspaceAsset._meta.fields]
    assert len(columns) == 18
    for column in columns:
        assert f"<code>{column.name}</code>" in shown.html
        assert f'aria-label="Copy {column.name}"' in shown.html


@pytest.mark.parametrize("view", ["grid", "table"])
def test_a_list_says_so_where_a_prompt_is_empty(fetch, view):
    make_asset(original_prompt="")
    assert "No prompt" in fetch(f"/assets/?view={view}").text


def test_only_a_prompt_that_is_there_can_be_copied(fetch):
    assert "Copy prompt" in fetch(detail_of(make_asset())).text
    shown = fetch(detail_of(make_asset(original_prompt="")))
    assert "No prompt" in shown.text
    assert "Copy prompt" not in shown.text


def test_siblings_are_in_order_of_index(fetch):
    job = make_job()
    made = [make_asset(job.user, job, asset_index=index) for index in (2, 0, 1)]
    shown = fetch(detail_of(made[0]))
    assert [card.index for card in shown.response.context["siblings"]] == [0, 1, 2]


def test_previous_and_next_stay_within_the_filter(fetch):
    flux = [make_asset(model_used="flux", ago=timedelta(minutes=minute)) for minute in (1, 3, 5)]
    make_asset(model_used="sdxl", ago=timedelta(minutes=2))
    query = "?model=flux"
    shown = fetch(detail_of(flux[1], query))
    assert shown.link("prev") == detail_of(flux[0], query)
    assert shown.link("next") == detail_of(flux[2], query)
    assert fetch(detail_of(flux[0], query)).link("prev") is None
    assert fetch(detail_of(flux[2], query)).link("next") is None


def test_a_filter_that_is_not_understood_leaves_the_asset_without_neighbours(fetch):
    first, second = make_asset(), make_asset()
    for asset in (first, second):
        shown = fetch(detail_of(asset, "?seed=abc"))
        assert shown.status == 200
        assert shown.link("prev") is shown.link("next") is None


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("nowhere/0.png", "The file is missing from the store."),
        ("", "The path is empty."),
        ("../../etc/passwd", "The path leaves the store."),
        ("https://elsewhere.example/x.png", "The address is not in this store."),
    ],
)
def test_a_file_that_cannot_be_had_is_a_fault_of_the_asset(fetch, path, fault):
    assert fault in fetch(detail_of(make_asset(temp_storage_path=path))).text


# --- A job, a user, the common queries -----------------------------------------------


def test_a_job_shows_its_assets_by_index(fetch):
    job = make_job(original_prompt="a quiet harbour")
    made = [make_asset(job.user, job, asset_index=index) for index in (1, 2, 0)]
    shown = fetch(reverse("job", args=[job.id]))
    assert shown.ids == [str(made[index].id) for index in (2, 0, 1)]
    assert "a quiet harbour" in shown.text


def test_a_job_shows_its_metadata_as_json(fetch):
    job = make_job(metadata={"batch": False, "note": None})
    assert '{"note": null, "batch": false}' in fetch(reverse("job", args=[job.id])).text


def test_a_job_of_many_assets_has_pages(fetch):
    job = make_job()
    make_assets(70, job.user, job)
    shown = fetch(reverse("job", args=[job.id]))
    assert len(shown.ids) == 60
    assert len(fetch(reverse("job", args=[job.id]) + shown.link("next")).ids) == 10


def test_a_job_without_assets_says_so(fetch):
    assert "it has made none" in fetch(reverse("job", args=[make_job().id])).text


def test_a_user_has_totals_by_type(fetch):
    user = make_user("ada")
    make_assets(2, user, file_size_bytes=1_500_000)
    make_assets(1, user, file_size_bytes=9_000_000, asset_type="video")
    make_assets(5)
    shown = fetch(reverse("user", args=[user.id]))
    shares = shown.response.context["totals"].types
    totals = [(share.key, share.amount.count, share.amount.bytes) for share in shares]
    assert totals == [("image", 2, 3_000_000), ("video", 1, 9_000_000)]
    assert "12.0 MB" in shown.text


def test_the_five_queries_lead_to_pages_that_answer_them(fetch):
    user = make_user("ada")
    asset = make_asset(user, expires_in=timedelta(hours=5))
    shown = fetch(reverse("queries"))
    for url in (
        "/assets/?expires=24h&amp;sort=expires_at",
        f"/assets/?user={user.id}",
        f"/users/{user.id}/",
        f"/jobs/{asset.job_id}/",
        "/assets/?type=image&amp;model=sdxl",
    ):
        assert f'href="{url}"' in shown.html
        assert str(asset.id) in fetch(url.replace("&amp;", "&")).html


# --- Suggestions -----------------------------------------------------------------------


def suggested(fetch, name, **params):
    found = json.loads(fetch(reverse(name), **params).html)["suggestions"]
    return [suggestion["value"] for suggestion in found]


def test_users_are_suggested_by_the_beginning_of_their_name(fetch):
    for name in ("Ada", "adam", "bertha", "100%"):
        make_user(name)
    assert suggested(fetch, "suggest_users", q="ad") == ["Ada", "adam"]
    assert suggested(fetch, "suggest_users", q="%") == []
    assert suggested(fetch, "suggest_users", q="100%") == ["100%"]


def test_owners_of_the_newest_assets_are_suggested_first(fetch):
    make_user("idle")
    make_asset(make_user("busy"))
    assert suggested(fetch, "suggest_users") == ["busy"]


def test_jobs_are_suggested_by_id_by_user_and_by_prompt(fetch):
    ada, bob = make_user("ada"), make_user("bob")
    fox, harbour = make_job(ada, original_prompt="a fox"), make_job(bob, original_prompt="a harbour")
    make_asset(ada, fox)
    make_asset(bob, harbour)
    assert suggested(fetch, "suggest_jobs", q=str(fox.id)[:9]) == [str(fox.id)]
    assert suggested(fetch, "suggest_jobs", q=str(fox.id)) == [str(fox.id)]
    assert suggested(fetch, "suggest_jobs", q="harbour") == [str(harbour.id)]
    assert suggested(fetch, "suggest_jobs", user="ada") == [str(fox.id)]
    assert suggested(fetch, "suggest_jobs", user="nobody") == []


# --- Queries per page -------------------------------------------------------------------

# Two of them are the session, and the user with the permissions; one looks for rows without a time
# where those with one do not fill the page; one, at most once a minute, the types and models that exist.
QUERIES = {
    "/assets/": 9,
    "/assets/?view=table": 9,
    "/assets/?type=image&model=sdxl&q=fox&setting=steps%3D30&user={user}": 14,
    "/assets/count/": 3,
    "/assets/{asset}/": 10,
    "/assets/{asset}/?model=sdxl": 10,
    "/assets/{asset}/embedded/": 3,
    "/jobs/{job}/": 7,
    "/users/{user}/": 9,
    "/queries/": 4,
    "/views/": 3,
    "/assets/settings/?model=sdxl": 3,
    "/suggest/settings/?q=st&filter=type%3Dimage": 3,
    "/suggest/settings/?q=steps%3D": 3,
    "/suggest/users/?q=u": 3,
    "/suggest/jobs/?q=a": 4,
    "/admin/assets/workspaceasset/": 5,
}


@pytest.mark.parametrize(("url", "number"), QUERIES.items())
def test_queries_do_not_grow_with_rows(client, staff, url, number):
    client.force_login(staff)
    first = make_asset()

    def fetched():
        from django.core.cache import cache

        cache.clear()
        with CaptureQueriesContext(connection) as queries:
            keys = {"asset": first.id, "job": first.job_id, "user": first.user_id}
            assert client.get(url.format(**keys)).status_code == 200
        return len(queries)

    assert fetched() == number, "with one row"
    for _ in range(15):
        make_assets(4, ago=timedelta(minutes=1))
    make_assets(
        20, Profile.objects.get(id=first.user_id), Job.objects.get(id=first.job_id), ago=timedelta(hours=1)
    )
    assert fetched() <= number, "with many rows"


def test_a_full_page_costs_six_queries_where_what_all_pages_share_is_known(client, staff):
    """The session, the user, the page with its owners, its verdicts, the facets, the saved views."""
    client.force_login(staff)
    make_assets(61)
    for view in ("grid", "table"):
        client.get("/assets/", {"view": view})
        with CaptureQueriesContext(connection) as queries:
            client.get("/assets/", {"view": view})
        assert len(queries) <= 6, view


# Those of what was done to assets.
QUERIES_AFTERWARDS = {
    "/library/": 6,
    "/library/?user={user}&q=fox&tag=red": 7,
    "/library/{saved}/": 8,
    "/removed/": 8,
    "/removed/?action=deleted&actor=admins&user={user}": 10,
    "/removed/{entry}/": 10,
    "/operations/": 3,
    "/operations/{ready}/": 9,
    "/operations/{ended}/": 7,
    "/operations/{ended}.json": 3,
    "/operations/{ended}.csv": 4,
}


@pytest.fixture
def act(admin):
    """Saves an asset, deletes one, has one fail, and leaves one to be confirmed."""

    def act_on_some(user, number):
        assets = make_assets(3 * number, user)
        frozen = [asset.id for asset in assets[: 2 * number]]
        ended = bulk.freeze_ticked(frozen, action=Operation.Action.DELETE, actor=admin)
        bulk.start(ended, actor=admin, confirmed=None, options={})
        dispositions.delete(frozen[:number], actor=admin)
        bulk.advance(ended.pk)
        waiting = [asset.id for asset in assets[2 * number :]]
        ready = bulk.freeze_ticked(waiting, action=Operation.Action.PROMOTE, actor=admin)
        saved = [
            LibraryAsset.objects.create(
                id=uuid4(), user=user, asset_type="image", storage_path="nowhere.png", file_size_bytes=1,
                mime_type="image/png", original_prompt="a red fox", model_used="sdxl", tags=["red"],
            )
            for _ in range(number)
        ]  # fmt: skip
        for each in saved:
            row = {"job_id": str(assets[0].job_id)}
            Disposition.objects.create(asset_id=each.id, user_id=user.id, action="promoted", row=row)
        entry = Disposition.objects.get(asset_id=frozen[-1])
        return {"ended": ended.pk, "ready": ready.pk, "saved": saved[0].pk, "entry": entry.pk}

    return act_on_some


@pytest.mark.parametrize(("url", "number"), QUERIES_AFTERWARDS.items())
def test_queries_do_not_grow_with_what_was_done(client, admin, act, url, number):
    client.force_login(admin)
    user = make_user()

    def fetched(keys):
        from django.core.cache import cache

        cache.clear()
        with CaptureQueriesContext(connection) as queries:
            response = client.get(url.format(**keys, user=user.id))
            assert response.status_code == 200
            response.getvalue()
        return len(queries)

    assert fetched(act(user, 1)) == number, "with one row"
    for _ in range(10):
        act(make_user(), 3)
    assert fetched(act(user, 40)) <= number, "with many rows"


def test_a_query_that_takes_too_long_is_advice_not_an_error(client, staff, monkeypatch):
    from django.db import OperationalError
    from psycopg.errors import QueryCanceled

    def slow(*args, **kwargs):
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '10ms'")
            cursor.execute("SELECT pg_sleep(2)")

    client.force_login(staff)
    monkeypatch.setattr("assets.views.gallery.count_facets", slow)
    with pytest.raises(OperationalError) as error, transaction.atomic():
        slow()
    assert isinstance(error.value.__cause__, QueryCanceled)
    sid = transaction.savepoint()
    response = client.get("/assets/")
    transaction.savepoint_rollback(sid)
    assert response.status_code == 503
    assert b"add a user, a type, a model or a date" in response.content


def test_a_change_that_the_database_gave_up_on_says_that_nothing_was_done(client, admin, monkeypatch):
    asset = make_asset()

    def slow(*args, **kwargs):
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '10ms'")
            cursor.execute("SELECT pg_sleep(2)")

    client.force_login(admin)
    monkeypatch.setattr("assets.dispositions.delete", slow)
    sid = transaction.savepoint()
    response = client.post(f"/assets/{asset.id}/delete")
    transaction.savepoint_rollback(sid)
    assert response.status_code == 503
    assert b"nothing has been done here" in response.content


def test_a_time_of_day_in_the_url_is_not_lost_by_a_date_picker(fetch):
    assert 'type="date" name="created_after"' in fetch("/assets/", created_after="2026-11-20").html
    assert 'type="text" name="created_after"' in fetch("/assets/", created_after="2026-11-20T10:00").html


def test_expiry_words_warn_by_level():
    from assets.humanize import expiry

    now = timezone.now()
    levels = {
        None: "never", timedelta(days=4): "calm", timedelta(days=2): "soon", timedelta(hours=5): "urgent",
        timedelta(seconds=-1): "expired",
    }  # fmt: skip
    for left, level in levels.items():
        assert expiry(None if left is None else now + left, now).level == level


def test_a_length_that_is_no_number_is_left_out(fetch):
    make_asset(asset_type="video")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE workspace_assets SET duration_seconds = 'NaN'")
    assert "▶ video" in fetch("/assets/").text


def test_rows_without_a_time_do_not_crowd_out_the_newest(fetch):
    make_asset(make_user("undated"), created_at=None)
    make_asset(make_user("dated"))
    assert suggested(fetch, "suggest_users") == ["dated"]
    assert "undated" not in fetch(reverse("queries")).text


def test_an_unknown_asset_id_leads_nowhere(fetch):
    assert fetch(f"/assets/{uuid4()}/").status == 404


# --- The back office --------------------------------------------------------------------


def test_the_back_office_lists_what_expires_soonest_first(fetch):
    sooner, later = (make_asset(expires_in=timedelta(hours=hours)) for hours in (5, 20))
    html = fetch("/admin/assets/workspaceasset/", expires="24h").html
    assert html.index(f"{sooner.id}/change") < html.index(f"{later.id}/change")
    html = fetch("/admin/assets/workspaceasset/").html
    assert html.index(f"{later.id}/change") < html.index(f"{sooner.id}/change")


@pytest.mark.parametrize(
    "query",
    ["original_prompt=%00", "original_prompt__regex=(", "created_at__year=0", "generation_settings__a=%00",
     "asset_index__range=1", "job__status=queued", "typ=image"],
)  # fmt: skip
def test_the_back_office_says_that_it_has_no_such_filter(client, admin, query):
    client.force_login(admin)
    response = client.get(f"/admin/assets/workspaceasset/?{query}")
    assert response.status_code == 400
    assert "This was not understood" in response.content.decode()


@pytest.mark.parametrize(
    ("query", "first"),
    [("o=4", "-created_at"), ("o=-4.5", "-created_at"), ("o=7", "created_at"), ("o=8", "expires_at"),
     ("expires=24h&o=7", "expires_at")],
)  # fmt: skip
def test_the_back_office_sorts_by_nothing_without_an_index(fetch, query, first):
    changelist = fetch(f"/admin/assets/workspaceasset/?{query}").response.context["cl"]
    assert changelist.queryset.query.order_by[0] == first


def test_the_back_office_leads_to_no_page_of_a_row(client, admin):
    client.force_login(admin)
    assert client.get("/admin/r/1/1/").status_code == 410


def test_the_back_office_finds_what_a_uuid_names_in_the_order_of_an_index(fetch):
    asset = make_asset()
    make_asset(asset.user)
    for model, pk, number, order in (
        ("workspaceasset", asset.pk, 1, "-created_at"),
        ("workspaceasset", asset.job_id, 1, "-created_at"),
        ("workspaceasset", asset.user_id, 2, "-created_at"),
        ("workspaceasset", uuid4(), 0, "-created_at"),
        ("job", asset.job_id, 1, "id"),
        ("job", asset.user_id, 2, "-created_at"),
        ("libraryasset", asset.user_id, 0, "-created_at"),
    ):
        changelist = fetch(f"/admin/assets/{model}/?q={pk}").response.context["cl"]
        assert (changelist.result_count, changelist.queryset.query.order_by[0]) == (number, order)
        assert " OR " not in str(changelist.queryset.query), "rows of either would have to be sorted"
