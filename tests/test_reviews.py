"""What reviewers find of assets: one verdict at a time, with everything that came before it kept."""

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from html import unescape
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from assets import bulk, dispositions, facets, pagination, sieves
from assets.filters import AssetFilterSet
from assets.forms import MOST_TICKED
from assets.models import Disposition, LibraryAsset, Operation, Review, Verdict, WorkspaceAsset
from assets.outcomes import DONE, GONE, failed
from assets.purge import purge
from assets.reviews import flagged, review, take_back, verdicts
from tests import samples
from tests.factories import make_asset, make_assets
from tests.html import Page

HTMX = {"HX-Request": "true"}
APPROVED, FLAGGED, WITHDRAWN = Verdict.APPROVED, Verdict.FLAGGED, Verdict.WITHDRAWN
with_rows = pytest.mark.django_db


def in_library(**values):
    user = make_asset().user
    defaults = {
        "id": uuid4(), "user": user, "asset_type": "image", "storage_path": f"{uuid4()}.png",
        "file_size_bytes": 1, "mime_type": "image/png", "original_prompt": "a fox", "model_used": "sdxl",
    }  # fmt: skip
    return LibraryAsset.objects.create(**defaults | values)


def standing(asset_id):
    found = verdicts([asset_id]).get(asset_id)
    return found and (found.verdict, found.note, found.reviewer.get_username())


def written(asset_id):
    """All that was ever said of an asset, the oldest first, and whether it still holds."""
    rows = Review.objects.filter(asset_id=asset_id).order_by("id")
    return [(row.verdict, row.note, row.superseded_at is None) for row in rows]


# --- Verdicts ------------------------------------------------------------------------


@with_rows
def test_the_last_verdict_holds_and_those_before_are_kept(reviewer, admin):
    pk = make_asset().pk
    review([pk], verdict=APPROVED, note="good hands", reviewer=reviewer)
    review([pk], verdict=FLAGGED, note="six fingers", reviewer=admin)
    assert standing(pk) == ("flagged", "six fingers", "admins")
    assert written(pk) == [("approved", "good hands", False), ("flagged", "six fingers", True)]
    assert list(flagged([pk])) == [pk]
    review([pk], verdict=WITHDRAWN, reviewer=admin)
    assert standing(pk) is None
    assert flagged([pk]) == {}
    assert written(pk)[-1] == ("withdrawn", "", True)


@with_rows
def test_what_is_said_already_is_not_said_again(reviewer):
    pk = make_asset().pk
    for _ in range(2):
        last = review([pk], verdict=APPROVED, note="good", reviewer=reviewer)
    assert (last.written, last.unchanged) == ([], [pk])
    assert len(review([pk], verdict=APPROVED, note="very good", reviewer=reviewer).written) == 1
    review([pk], verdict=WITHDRAWN, reviewer=reviewer)
    assert review([pk], verdict=WITHDRAWN, note="nothing to end", reviewer=reviewer).unchanged == [pk]
    assert [verdict for verdict, _, _ in written(pk)] == ["approved", "approved", "withdrawn"]


@with_rows
def test_many_are_reviewed_at_once_and_what_is_nowhere_is_gone(reviewer, django_assert_max_num_queries):
    live, saved, gone = [asset.pk for asset in make_assets(50)], in_library().pk, uuid4()
    left = make_asset().pk
    dispositions.delete([left], actor=reviewer)
    with django_assert_max_num_queries(8):
        result = review([*live, saved, gone, left, saved], verdict=FLAGGED, note="blurred", reviewer=reviewer)
    assert [each.asset_id for each in result.written] == [*live, saved]
    assert set(result.gone) == {gone, left}
    assert Review.objects.count() == 51
    assert set(flagged([*live, saved, gone])) == {*live, saved}


@with_rows
def test_a_verdict_is_taken_back_to_the_one_before_by_who_gave_it(reviewer, admin):
    first, second, third = (asset.pk for asset in make_assets(3))
    review([first], verdict=APPROVED, note="good", reviewer=admin)
    new = review([first, second, third], verdict=FLAGGED, note="bad", reviewer=reviewer).written
    review([third], verdict=APPROVED, note="no, good", reviewer=admin)
    numbers = new[0].pk, new[-1].pk
    assert take_back(*numbers, reviewer=admin) == []
    assert len(take_back(*numbers, reviewer=reviewer)) == 2
    assert standing(first) == ("approved", "good", "reviewers")
    assert standing(second) is None
    assert standing(third) == ("approved", "no, good", "admins")
    assert take_back(*numbers, reviewer=reviewer) == []


@pytest.mark.django_db(transaction=True)
def test_of_two_reviewers_at_one_instant_the_later_holds_and_both_are_kept():
    people = [User.objects.create(username=f"reviewer-{number}") for number in range(4)]
    pks = [asset.pk for asset in make_assets(8)]
    barrier = threading.Barrier(len(people), timeout=30)

    def act(number):
        try:
            connection.ensure_connection()
            barrier.wait()
            # Each in an order of its own, which would lock rows crosswise.
            order = pks if number % 2 else pks[::-1]
            return len(review(order, verdict=FLAGGED, note=str(number), reviewer=people[number]).written)
        finally:
            connection.close()

    for _ in range(10):
        Review.objects.all().delete()
        with ThreadPoolExecutor(len(people)) as pool:
            assert list(pool.map(act, range(len(people)))) == [len(pks)] * len(people)
        for pk in pks:
            rows = list(Review.objects.filter(asset_id=pk).order_by("id"))
            assert {row.note for row in rows} == {"0", "1", "2", "3"}
            assert [row.superseded_at is None for row in rows] == [False, False, False, True]
            assert [row.reviewed_at for row in rows] == sorted(row.reviewed_at for row in rows)


# --- Wherever the asset is -----------------------------------------------------------


@pytest.fixture
def with_file(store_folders):
    def make(**values):
        key = f"{uuid4()}.png"
        (store_folders / "workspace" / key).write_bytes(samples.picture(".png", 8, 8))
        return make_asset(temp_storage_path=key, **values)

    return make


def let_the_grace_run_out():
    Disposition.objects.update(purge_after=timezone.now() - timedelta(hours=1))
    purge()


def leave_by_others(pk, actor):
    WorkspaceAsset.objects.filter(pk=pk).delete()


def expire(pk, actor):
    WorkspaceAsset.objects.filter(pk=pk).update(expires_at=timezone.now() - timedelta(hours=1))
    dispositions.expire()


WAYS_OUT = {
    "saved": lambda pk, actor: dispositions.promote([pk], actor=actor),
    "deleted": lambda pk, actor: dispositions.delete([pk], actor=actor),
    "expired": expire,
    "external": leave_by_others,
}


@with_rows
@pytest.mark.parametrize("way", WAYS_OUT)
def test_a_verdict_stays_whichever_way_the_asset_leaves_comes_back_and_is_purged(
    client, with_file, reviewer, admin, way
):
    pk = with_file().pk
    review([pk], verdict=APPROVED, note="keep this", reviewer=reviewer)
    client.force_login(admin)
    WAYS_OUT[way](pk, admin)
    dispositions.restore([Disposition.objects.get().pk], actor=admin)
    assert WorkspaceAsset.objects.filter(pk=pk).exists()
    WAYS_OUT[way](pk, admin)
    assert not WorkspaceAsset.objects.filter(pk=pk).exists()
    entry = Disposition.objects.latest("id")
    let_the_grace_run_out()
    entry.refresh_from_db()
    assert entry.purged_at
    assert standing(pk) == ("approved", "keep this", "reviewers")
    for url in (f"/removed/{entry.pk}/", f"/library/{pk}/" if way == "saved" else f"/removed/{entry.pk}/"):
        page = client.get(url).content.decode()
        assert page.count("keep this") >= 2  # as its verdict, and in its history
    assert 'data-verdict="approved"' in client.get("/removed/").content.decode()


# --- Saving what is flagged ----------------------------------------------------------


@with_rows
def test_a_flagged_asset_is_not_saved_nor_copied_by_whoever_does_not_know(
    with_file, reviewer, admin, store_folders
):
    asset, other = with_file(), with_file()
    flag = review([asset.pk], verdict=FLAGGED, note="six fingers", reviewer=reviewer).written[0]
    outcomes = dispositions.promote([asset.pk, other.pk], actor=admin)
    assert outcomes[asset.pk] == failed("It was flagged by reviewers: “six fingers”")
    assert outcomes[other.pk] == DONE
    assert len([path for path in (store_folders / "library").rglob("*") if path.is_file()]) == 1
    assert WorkspaceAsset.objects.filter(pk=asset.pk).exists()
    assert dispositions.promote([asset.pk], actor=admin, despite_flags=flag.pk - 1)[asset.pk].reason
    assert dispositions.promote([asset.pk], actor=admin, despite_flags=flag.pk)[asset.pk] == DONE
    assert dispositions.promote([asset.pk], actor=admin)[asset.pk] == GONE


@with_rows
@pytest.mark.parametrize("verdict", [APPROVED, WITHDRAWN])
def test_a_flag_that_was_lifted_is_none(with_file, reviewer, admin, verdict):
    pk = with_file().pk
    review([pk], verdict=FLAGGED, reviewer=reviewer)
    review([pk], verdict=verdict, reviewer=reviewer)
    assert dispositions.promote([pk], actor=admin)[pk] == DONE


@with_rows
def test_an_asset_that_is_flagged_while_it_is_copied_is_not_saved(with_file, reviewer, admin, monkeypatch):
    pk, plainly = with_file().pk, dispositions.copy_to_library

    def copy_and_flag(ids):
        copies = plainly(ids)
        review([pk], verdict=FLAGGED, reviewer=reviewer)
        return copies

    monkeypatch.setattr(dispositions, "copy_to_library", copy_and_flag)
    assert dispositions.promote([pk], actor=admin)[pk] == failed("It was flagged by reviewers")
    assert not LibraryAsset.objects.exists()


@with_rows
def test_saving_a_flagged_asset_asks_once_more_and_keeps_what_was_written(client, with_file, reviewer, admin):
    pk = with_file().pk
    flag = review([pk], verdict=FLAGGED, note="<i>six</i> fingers", reviewer=reviewer).written[0]
    client.force_login(admin)
    url, given = reverse("promote", args=[pk]), {"title": "A <b>fox</b>", "tags": "x, y", "next": "/queries/"}
    for headers in ({}, HTMX):
        response = client.post(url, given, headers=headers)
        assert response.status_code == 200
        page = response.content.decode()
        assert "flagged by reviewers: “&lt;i&gt;six&lt;/i&gt; fingers”</p>" in page
        assert "Save all the same" in page
        assert not LibraryAsset.objects.exists()
        form = page[: page.index("Save all the same")].rpartition("<form")[2]
        fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))
        asked = {name: unescape(value) for name, value in fields.items() if name != "csrfmiddlewaretoken"}
        assert asked.items() >= (given | {"despite_flags": str(flag.pk)}).items()
    response = client.post(url, asked)
    assert (response.status_code, response["Location"]) == (302, "/queries/")
    saved = LibraryAsset.objects.get(pk=pk)
    assert (saved.custom_title, saved.tags) == ("A <b>fox</b>", ["x", "y"])


@with_rows
def test_an_operation_is_not_started_without_a_word_on_the_flags_among_it(client, with_file, reviewer, admin):
    first, second, third = (with_file() for _ in range(3))
    flag = review([first.pk, second.pk], verdict=FLAGGED, reviewer=reviewer).written[-1]
    client.force_login(admin)
    ids = [asset.pk for asset in (first, second, third)]
    operation = bulk.freeze_ticked(ids, action=Operation.Action.PROMOTE, actor=admin)
    start = reverse("start", args=[operation.pk])
    assert "2 assets to be saved are flagged." in Page(client.get(f"/operations/{operation.pk}/")).text
    refused = client.post(start)
    assert refused.status_code == 400
    assert "2 assets to be saved are flagged. Say that" in Page(refused).text
    late = review([third.pk], verdict=FLAGGED, note="late", reviewer=reviewer).written[0]
    stale = client.post(start, {"despite_flags": flag.pk})
    assert "1 asset to be saved is flagged. Say that" in Page(stale).text
    review([third.pk], verdict=WITHDRAWN, reviewer=reviewer)
    assert client.post(start, {"despite_flags": flag.pk}).status_code == 302
    review([third.pk], verdict=FLAGGED, note="after the confirmation", reviewer=reviewer)
    for _ in range(2):
        bulk.advance(operation.pk)
        operation.refresh_from_db()
        assert (operation.state, operation.done, operation.failed) == ("finished", 2, 1)
        reason = operation.items.get(asset_id=third.pk).reason
        assert reason == "It was flagged by reviewers: “after the confirmation”"
        bulk.retry(operation)
    assert late.pk > flag.pk


@with_rows
@pytest.mark.parametrize("action", ["delete", "extend"])
def test_flags_are_in_the_way_of_saving_alone(reviewer, admin, action):
    pk = make_asset().pk
    review([pk], verdict=FLAGGED, reviewer=reviewer)
    operation = bulk.freeze_ticked([pk], action=action, actor=admin)
    bulk.start(operation, actor=admin, confirmed=None, options={})
    bulk.advance(operation.pk)
    operation.refresh_from_db()
    assert operation.done == 1


# --- Over HTTP -----------------------------------------------------------------------


@pytest.fixture
def post(client, reviewer):
    client.force_login(reviewer)

    def send(url, data, **headers):
        return client.post(url, data, headers=headers)

    return send


@with_rows
def test_a_verdict_is_given_and_taken_back_on_the_page(post, client):
    pk = make_asset().pk
    url = reverse("review", args=[pk])
    response = post(url, {"verdict": "approved", "note": " good\r\nhands ", "next": "/queries/"})
    assert (response.status_code, response["Location"]) == (302, "/queries/")
    assert standing(pk) == ("approved", "good\nhands", "reviewers")
    page = client.get("/queries/").content.decode()
    undo = re.search(r'formaction="(/reviews/[^"]+/undo)"', page)[1]
    response = post(url, {"verdict": "approved", "note": "good\nhands"}, **HTMX)
    assert "approved already" in response.content.decode()
    response = post(undo, {}, **HTMX)
    [event] = json.loads(response["HX-Trigger"]).values()
    assert (event["id"], event["verdict"]) == (str(pk), "")
    assert standing(pk) is None
    assert "another verdict since" in post(undo, {}, **HTMX).content.decode()
    far = reverse("undo_review", args=[1, Review.objects.latest("id").pk + MOST_TICKED])
    assert post(far, {}).status_code == 404  # more than anybody gives at once


@with_rows
def test_ticked_assets_are_reviewed_together_and_taken_back_together(post, client):
    assets, gone = make_assets(3), uuid4()
    post(reverse("review", args=[assets[0].pk]), {"verdict": "flagged", "note": "blurred"})
    data = {"verdict": "flagged", "note": "blurred", "ids": [*(asset.pk for asset in assets), gone]}
    assert post(reverse("review_many"), data)["Location"] == "/assets/"
    page = Page(client.get("/assets/"))
    assert "Flagged: 2 · flagged already, with this note: 1 · gone before: 1" in page.text
    undo = re.findall(r'formaction="(/reviews/[^"]+/undo)"', page.html)[-1]
    assert post(undo, {}, **HTMX)["HX-Refresh"] == "true"
    assert list(flagged([asset.pk for asset in assets])) == [assets[0].pk]


@with_rows
@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "Say which verdict"),
        ({"verdict": "superb"}, "A verdict is approved, flagged or withdrawn."),
        ({"verdict": "approved", "note": "x" * 2_001}, "A note has at most 2,000 characters."),
        ({"verdict": "approved", "note": "a\0b"}, "Null characters are not allowed."),
        ({"verdict": "approved", "ids": []}, "No asset is selected."),
        ({"verdict": "approved", "ids": ["x"]}, "something that is not the UUID"),
        ({"verdict": "approved", "select": "all", "filter": ""}, "not to all that match"),
    ],
    ids=["none", "unknown", "long", "nul", "nothing", "no-uuid", "all"],
)
def test_what_is_not_understood_is_refused_with_a_sentence(post, client, data, message):
    asset = make_asset()
    one = "ids" not in data and "select" not in data
    url = reverse("review", args=[asset.pk]) if one else reverse("review_many")
    answered = post(url, {"ids": [asset.pk]} | data, **HTMX)
    assert (answered.status_code, message in answered.content.decode()) == (200, True)
    assert post(url, {"ids": [asset.pk]} | data).status_code == 302
    assert not Review.objects.exists()


@with_rows
def test_a_note_of_2000_characters_with_line_ends_is_kept(post):
    pk, note = make_asset().pk, "ab\n" * 600 + "ž" * 200
    post(reverse("review", args=[pk]), {"verdict": "flagged", "note": note.replace("\n", "\r\n")})
    assert standing(pk)[1] == note


@with_rows
def test_an_asset_that_has_left_is_not_reviewed(post):
    pk = make_asset().pk
    WorkspaceAsset.objects.all().delete()
    answered = post(reverse("review", args=[pk]), {"verdict": "approved"}, **HTMX)
    assert "neither in the workspace nor in the library" in answered.content.decode()
    assert not Review.objects.exists()


# --- Lists ---------------------------------------------------------------------------


@with_rows
@pytest.mark.parametrize("few", [0, sieves.FEW], ids=["met on the way", "looked up"])
def test_lists_and_operations_select_by_verdict(client, reviewer, admin, monkeypatch, few):
    monkeypatch.setattr(sieves, "FEW", few)
    assets = make_assets(6)
    approved, flags, others = assets[:2], assets[2:3], assets[3:]
    review([asset.pk for asset in assets], verdict=APPROVED, reviewer=reviewer)  # and then otherwise
    review([asset.pk for asset in flags], verdict=FLAGGED, reviewer=reviewer)
    review([asset.pk for asset in others], verdict=WITHDRAWN, reviewer=reviewer)
    saved = {in_library().pk: verdict for verdict in ("approved", "flagged", "")}
    WorkspaceAsset.objects.exclude(pk__in=[asset.pk for asset in assets]).delete()
    for pk, verdict in saved.items():
        review([pk] if verdict else [], verdict=verdict or APPROVED, reviewer=reviewer)
    client.force_login(admin)
    expected = {"approved": approved, "flagged": flags, "none": others}
    for verdict, wanted in expected.items():
        shown = Page(client.get("/assets/", {"verdict": verdict}))
        assert set(shown.ids) == {str(asset.pk) for asset in wanted}
        assert shown.total == len(wanted)
        counts = {option.label: option.count.number for option in shown.response.context["facets"].verdicts}
        assert counts == {"approved": 2, "flagged": 1, "neither": 3}
        operation = bulk.freeze_filter(f"verdict={verdict}", action=Operation.Action.DELETE, actor=admin)
        assert set(operation.items.values_list("asset_id", flat=True)) == {asset.pk for asset in wanted}
        shown = Page(client.get("/library/", {"verdict": verdict}))
        of_library = verdict if verdict != "none" else ""
        assert shown.ids == [str(pk) for pk, found in saved.items() if found == of_library]
    dispositions.delete([asset.pk for asset in assets], actor=admin)
    for verdict, wanted in expected.items():
        shown = Page(client.get("/removed/", {"verdict": verdict, "actor": "admins"}))
        assert set(shown.ids) == {str(asset.pk) for asset in wanted}
    assert (
        "not known here: choose approved, flagged or none." in Page(client.get("/assets/?verdict=good")).text
    )


def rows_read(query):
    """From tables and indexes: which steps they then pass is the planner's choice, and differs."""
    query = query.removeprefix(f"SET LOCAL statement_timeout = {facets.TIME_LIMIT * 1000:.0f}; ")
    query = query.removesuffix("; SET LOCAL statement_timeout TO DEFAULT")
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}")
        waiting, rows = [cursor.fetchone()[0][0]["Plan"]], 0
    while waiting:
        step = waiting.pop()
        from_others = step.get("Plans", [])
        read = 0 if from_others else step["Actual Rows"]
        rows += (read + step.get("Rows Removed by Filter", 0)) * step["Actual Loops"]
        waiting += from_others
    return rows


@pytest.mark.parametrize("query", ["", "verdict=approved", "verdict=flagged", "verdict=none"])
def test_reviews_of_assets_that_have_left_cost_a_page_little(client, reviewer, query):
    """They stay for good, while an asset stays for days."""
    client.force_login(reviewer)
    flag = make_assets(300)[:1]
    review([asset.pk for asset in flag], verdict=FLAGGED, reviewer=reviewer)
    read = []
    for number in (5_000, 20_000):
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO assets_review (asset_id, verdict, reviewer_id)"
                " SELECT gen_random_uuid(), unnest('{approved,flagged}'::text[]), %s"
                " FROM generate_series(1, %s)",
                [reviewer.pk, number],
            )
            cursor.execute("ANALYZE assets_review, workspace_assets")
        cache.clear()
        with CaptureQueriesContext(connection) as queries:
            shown = Page(client.get(f"/assets/?{query}"))
        assert (
            shown.total == {"": 300, "verdict=approved": 0, "verdict=flagged": 1, "verdict=none": 299}[query]
        )
        # Besides, one statement looks through the reviews of a chosen verdict, once.
        read.append(sum(rows_read(each["sql"]) for each in queries if "counted.value" in each["sql"]))
    assert read[1] < 1.1 * read[0]


def test_few_that_are_approved_need_no_walk_over_the_library(client, reviewer, monkeypatch):
    monkeypatch.setattr(pagination, "PROBED_FIRST", 50)
    saved = in_library()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO user_library (user_id, asset_type, storage_path, file_size_bytes, mime_type,"
            " original_prompt, model_used) SELECT user_id, asset_type, storage_path, 1, mime_type, '', ''"
            " FROM user_library, generate_series(1, 20000)"  # a smaller one may as well be read whole
        )
        cursor.execute("UPDATE user_library SET created_at = '2026-01-01' WHERE id = %s", [saved.pk])
    review([saved.pk], verdict=APPROVED, reviewer=reviewer)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE user_library, assets_review")
    client.force_login(reviewer)
    with CaptureQueriesContext(connection) as queries:
        shown = Page(client.get("/library/", {"verdict": "approved"}))
    assert shown.ids == [str(saved.pk)]
    listed = [each["sql"] for each in queries if each["sql"].startswith('SELECT "user_library"')]
    assert sum(map(rows_read, listed)) < 1_000


def test_assets_that_are_all_reviewed_cost_a_page_little(reviewer, monkeypatch):
    monkeypatch.setattr(facets, "MOST_LOOKED_UP", 20)
    review([asset.pk for asset in make_assets(300)], verdict=APPROVED, reviewer=reviewer)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE assets_review, workspace_assets")
    with CaptureQueriesContext(connection) as queries:
        counts = facets.count_facets(AssetFilterSet(QueryDict("model=sdxl")))
    told = {verdict: str(count) for verdict, count in counts.verdicts.items()}
    assert told == {"approved": "300", "flagged": "0", "none": "…"}
    [sql] = [each["sql"] for each in queries if "counted.value" in each["sql"]]
    [none] = [part for part in sql.split(" UNION ALL ") if "SELECT 'none'," in part]
    assert rows_read(none) < 300


@with_rows
def test_badges_cost_one_query_however_many_there_are(client, reviewer):
    client.force_login(reviewer)
    counts = []
    for number in (1, 30):
        review([asset.pk for asset in make_assets(number)], verdict=FLAGGED, note='"x"', reviewer=reviewer)
        for view in ("grid", "table"):
            with CaptureQueriesContext(connection) as queries:
                page = unescape(client.get("/assets/", {"view": view}).content.decode())
            counts.append(len([query for query in queries if "assets_review" in query["sql"]]))
            assert page.count('aria-label="flagged by reviewers: “"x"”"') == Review.objects.count()
    assert counts == [1] * 4  # the badges, which are all that the rail counts of so few assets
