"""Operations over HTTP: made, refused, confirmed, watched, steered, and told in a CSV."""

import csv
import io
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.urls import reverse
from django.utils import timezone
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

from assets import bulk, dispositions
from assets.models import Disposition, LibraryAsset, Operation, OperationItem, WorkspaceAsset
from assets.views import operations
from tests import samples
from tests.cleaning import empty_queue
from tests.factories import GONE, make_asset, make_assets, make_job, make_user
from tests.html import Page

pytestmark = pytest.mark.django_db

PNG = samples.picture(".png", 8, 8)


@pytest.fixture(autouse=True)
def stores(store_folders):
    return store_folders


@pytest.fixture
def with_file(stores):
    def make(*args, **values):
        key = f"{uuid4()}.png"
        (stores / "workspace" / key).write_bytes(PNG)
        return make_asset(*args, temp_storage_path=key, **values)

    return make


@pytest.fixture
def send(client, admin):
    """Posts as somebody of the Admins."""

    def post(url, data):
        client.force_login(admin)
        return client.post(url, data)

    return post


@pytest.fixture
def make(send):
    """Makes an operation as the gallery's form does."""

    def make_operation(action="delete", assets=(), **data):
        given = {"action": action, "ids": [asset.pk for asset in assets]} if assets else {"action": action}
        response = send("/operations/", given | data)
        assert response.status_code == 302
        operation = Operation.objects.latest("id")
        assert response["Location"] == f"/operations/{operation.pk}/"
        return operation

    return make_operation


@pytest.fixture
def steer(send):
    def post(operation, move, **data):
        return send(reverse(move, args=[operation.pk]), data)

    return post


@pytest.fixture
def look(client, admin):
    """The page of an operation."""

    def fetch(operation, **headers):
        client.force_login(admin)
        return Page(client.get(reverse("operation", args=[operation.pk]), headers=headers))

    return fetch


@pytest.fixture
def run(make, steer):
    """Makes and starts an operation, and brings it to its end as a worker would."""

    def run_operation(*args, **data):
        operation = make(*args, **data)
        assert steer(operation, "start")["Location"] == f"/operations/{operation.pk}/"
        return advanced(operation)

    return run_operation


def advanced(operation):
    bulk.advance(operation.pk)
    operation.refresh_from_db()
    return operation


def json_of(client, operation):
    return client.get(f"/operations/{operation.pk}.json").json()


def frozen(operation):
    return set(operation.items.values_list("asset_id", flat=True))


def ids(*assets):
    return {asset.pk for asset in assets}


# --- Making --------------------------------------------------------------------


@pytest.mark.parametrize("action", ["promote", "delete", "extend"])
def test_ticked_assets_are_frozen_and_nothing_is_done(make, action):
    chosen, _ = make_assets(2), make_asset()
    operation = make(action, chosen)
    assert (operation.action, operation.state, operation.total) == (action, "ready", 2)
    assert operation.actor.username == "admins"
    assert operation.filter is None
    assert frozen(operation) == ids(*chosen)
    assert WorkspaceAsset.objects.count() == 3
    assert not ProcrastinateJob.objects.filter(args__operation_id=operation.pk).exists()


def test_ticked_twice_is_once(make):
    asset = make_asset()
    assert make("delete", [asset, asset]).total == 1


@pytest.mark.parametrize("query", ["type=video", "?type=video", "type=video&sort=expires_at&view=table"])
def test_all_that_match_are_frozen_with_their_filter(make, query):
    chosen, _ = make_assets(3, asset_type="video"), make_asset()
    operation = make("delete", select="all", filter=query)
    assert frozen(operation) == ids(*chosen)
    assert operation.filter == query.removeprefix("?")


def test_an_empty_filter_that_is_given_means_every_asset(make, look):
    make_assets(3)
    operation = make("extend", select="all", filter="")
    assert operation.total == 3
    assert "every asset" in look(operation).text


def test_no_browser_ticks_all_that_match_by_itself(client, admin):
    make_asset()
    client.force_login(admin)
    box = '<input type="checkbox" name="select" value="all" autocomplete="off"'
    assert box in client.get("/assets/").content.decode()


def test_all_that_match_are_more_than_the_page_and_the_ticks(make):
    assets = make_assets(70)
    assert make("delete", assets[:2], select="all", filter="").total == 70


def test_a_page_link_in_the_filter_does_not_narrow_it(make, client, admin):
    make_assets(70)
    client.force_login(admin)
    following = Page(client.get("/assets/")).link("next")
    assert make("delete", select="all", filter=following).total == 70


def test_some_of_a_job_are_kept(make, look):
    job = make_job()
    kept, *rest = make_assets(4, job.user, job)
    make_asset()
    operation = make("keep", [kept], job=job.pk)
    verbs = dict(operation.items.values_list("asset_id", "verb"))
    assert verbs == {kept.pk: "promote"} | {asset.pk: "delete" for asset in rest}
    shown = look(operation)
    assert "Save some, delete the rest: 4 assets?" in shown.text
    assert "Save to the library 1" in shown.text
    assert "Delete 3" in shown.text
    assert "All that matched job=" in shown.text


def test_those_that_left_meanwhile_are_told(make, look, staff):
    gone, *there = make_assets(3)
    dispositions.delete([gone.pk], actor=staff)
    operation = make("delete", [gone, *there])
    assert operation.total == 2
    assert "1 of the ticked assets had left already, and is not among these." in look(operation).text


REFUSED = [
    ({"action": "destroy", "ids": "{asset}"}, "destroy is not one of the available choices"),
    ({"ids": "{asset}"}, "This field is required."),
    ({"action": "delete"}, "No asset is selected."),
    ({"action": "delete", "ids": ""}, "something that is not the UUID of an asset"),
    ({"action": "delete", "ids": ["{asset}", "1; DROP TABLE"]}, "not the UUID of an asset"),
    ({"action": "delete", "ids": "{asset}", "select": "everything"}, "“select” is all, or left out."),
    ({"action": "delete", "select": "everything", "filter": ""}, "“select” is all, or left out."),
    ({"action": "delete", "select": "all"}, "needs the filter that is meant"),
    ({"action": "delete", "select": "all", "ids": "{asset}"}, "needs the filter that is meant"),
    ({"action": "delete", "select": "all", "filter": "usr=ada"}, "There is no filter named “usr”."),
    ({"action": "delete", "select": "all", "filter": "type=vidoe"}, "“vidoe” is not a type of asset"),
    ({"action": "delete", "select": "all", "filter": "user=nobody"}, "There is no user named “nobody”."),
    ({"action": "delete", "select": "all", "filter": "type=image&type=video"}, "is given 2 times"),
    ({"action": "delete", "select": "all", "filter": "expires=2h"}, "“2h” is not known here"),
    ({"action": "delete", "select": "all", "filter": "x" * 10_001}, "at most 10000 characters"),
    ({"action": "delete", "select": "all", "filter": "q=a\0b"}, "Null characters are not allowed."),
    ({"action": "keep", "ids": "{asset}"}, "Keeping some of a job needs the job."),
    ({"action": "keep", "ids": "{asset}", "job": "first"}, "Enter a valid UUID."),
    ({"action": "keep", "job": "{job}"}, "No asset is selected to be kept."),
    ({"action": "keep", "ids": ["{asset}", "{other}"], "job": "{job}"}, "are not of this job, or have left"),
    ({"action": "keep", "ids": ["{asset}", str(GONE)], "job": "{job}"}, "are not of this job, or have left"),
    (
        {"action": "keep", "ids": "{asset}", "job": "{job}", "select": "all", "filter": "job={job}"},
        "“select=all” leaves no rest",
    ),
]


@pytest.mark.parametrize(("data", "sentence"), REFUSED)
def test_what_is_refused_says_why_and_makes_no_operation(send, data, sentence):
    first, _ = make_assets(2)
    keys = {"asset": first.pk, "other": make_asset().pk, "job": first.job_id}

    def fill(value):
        return [fill(each) for each in value] if isinstance(value, list) else value.format(**keys)

    response = send("/operations/", {name: fill(value) for name, value in data.items()})
    shown = Page(response)
    assert shown.status == 400
    assert "Nothing is selected" in shown.text
    assert sentence in shown.text
    assert "Nothing has been done." in shown.text
    assert not Operation.objects.exists()
    assert not OperationItem.objects.exists()
    assert WorkspaceAsset.objects.count() == 3


def test_more_ticks_than_may_be_are_refused(send, monkeypatch):
    monkeypatch.setattr("assets.forms.MOST_TICKED", 3)
    response = send("/operations/", {"action": "delete", "ids": [uuid4() for _ in range(4)]})
    assert response.status_code == 400
    assert "At most 3 ticked assets: filter, and select all." in Page(response).text
    assert not Operation.objects.exists()


def test_what_is_refused_stays_text(send):
    shown = Page(send("/operations/", {"action": "<script>alert(1)</script>"}))
    assert shown.status == 400
    assert "<script>alert" not in shown.html


# --- Confirming ----------------------------------------------------------------


def test_the_confirmation_shows_exactly_what_is_meant(make, look):
    ada, bob = make_user("ada"), make_user("bob")
    oldest = datetime(2026, 11, 1, 8, 30, 15, tzinfo=UTC)
    newest = datetime(2026, 11, 20, 22, 0, 1, tzinfo=UTC)
    first = make_asset(ada, file_size_bytes=1_500_000, created_at=oldest, expires_at=None)
    videos = make_assets(3, ada, asset_type="video", file_size_bytes=9_000_000, created_at=newest)
    expiry = datetime(2026, 11, 29, 1, 2, 3, tzinfo=UTC)
    last = make_asset(bob, file_size_bytes=500_000, created_at=oldest + timedelta(days=1), expires_at=expiry)
    WorkspaceAsset.objects.filter(asset_type="video").update(expires_at=expiry + timedelta(days=1))
    chosen = [first, *videos, last]
    make_assets(5)
    shown = look(make("delete", chosen))
    assert 'data-operation-total="5"' in shown.html
    assert "Delete: 5 assets?" in shown.text
    assert "Size by their rows 29.0 MB" in shown.text
    assert "Oldest 2026-11-01 08:30:15 UTC" in shown.text
    assert "Newest 2026-11-20 22:00:01 UTC" in shown.text
    assert "First to expire 2026-11-29 01:02:03 UTC" in shown.text
    assert "By type video 3 27.0 MB image 2 2.0 MB" in shown.text
    assert "By user, most first ada 4 28.5 MB bob 1 500 kB" in shown.text
    for asset in chosen:
        assert f'src="/media/assets/{asset.pk}/preview"' in shown.html


def test_the_confirmation_of_rows_without_times_says_unknown(make, look):
    shown = look(make("delete", [make_asset(created_at=None, expires_at=None)]))
    assert "Oldest unknown Newest unknown First to expire unknown" in shown.text


def test_the_confirmation_shows_a_few_of_many(make, look):
    shown = look(make("delete", make_assets(40)))
    assert shown.html.count('src="/media/assets/') == 12
    assert "40" in shown.text


def test_the_confirmation_of_nothing_cannot_be_started(make, steer, look):
    operation = make("delete", select="all", filter="model=none-such")
    assert "Delete: 0 assets?" in look(operation).text
    response = steer(operation, "start")
    assert response.status_code == 400
    assert "There is nothing to do: no asset was selected." in Page(response).text


def test_what_was_selected_may_have_left_by_the_confirmation(make, look, staff):
    assets = make_assets(2)
    operation = make("delete", assets)
    dispositions.delete([assets[0].pk], actor=staff)
    assert 'data-operation-total="2"' in look(operation).html


@pytest.mark.parametrize("typed", [{}, {"confirm": ""}, {"confirm": "1000"}, {"confirm": "1002"}])
def test_many_assets_want_their_number(make, steer, look, typed):
    make_assets(1_001)
    operation = make("delete", select="all", filter="")
    assert "Type 1001 to confirm" in look(operation).text
    assert 'name="confirm"' in look(operation).html
    shown = Page(steer(operation, "start", **typed))
    assert shown.status == 400
    assert "Type 1001 to confirm so many assets. Nothing has been done yet." in shown.text
    operation.refresh_from_db()
    assert operation.state == "ready"
    assert WorkspaceAsset.objects.count() == 1_001


def test_many_assets_are_started_by_their_number(make, steer):
    make_assets(1_001)
    operation = make("delete", select="all", filter="")
    assert steer(operation, "start", confirm="1001").status_code == 302
    assert advanced(operation).done == 1_001
    assert not WorkspaceAsset.objects.exists()


def test_few_assets_want_no_number(make, look):
    assert 'name="confirm"' not in look(make("delete", make_assets(3))).html


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"collection": "animals"}, "Collection: Write the UUID of a collection."),
        ({"title": "x" * 201}, "Title: Ensure this value has at most 200 characters"),
        ({"tags": "x" * 51}, "Tags: A tag has at most 50 characters."),
        ({"confirm": "many"}, "Confirm: Type the number of assets."),
    ],
)
def test_labels_that_make_no_sense_start_nothing(make, steer, data, sentence):
    operation = make("promote", [make_asset()])
    shown = Page(steer(operation, "start", **({"title": "kept"} | data)))
    assert shown.status == 400
    assert sentence in shown.text
    if "title" not in data:
        assert 'value="kept"' in shown.html  # what was written is not lost
    operation.refresh_from_db()
    assert operation.state == "ready"
    assert operation.started_at is None


def test_labels_are_written_on_each_that_is_saved(make, steer, with_file):
    operation = make("promote", [with_file(), with_file()])
    collection = uuid4()
    steer(operation, "start", title="Foxes", tags="red, snow", collection=str(collection))
    assert advanced(operation).done == 2
    labels = set(LibraryAsset.objects.values_list("custom_title", "collection_id"))
    assert labels == {("Foxes", collection)}
    assert LibraryAsset.objects.first().tags == ["red", "snow"]


def test_only_saving_asks_for_labels(make, look):
    assert 'name="title"' in look(make("promote", [make_asset()])).html
    for action in ("delete", "extend"):
        assert 'name="title"' not in look(make(action, [make_asset()])).html


# --- Running and watching --------------------------------------------------------


def test_page_and_json_tell_done_gone_and_failed(run, make, steer, look, client, staff, with_file):
    saved, gone, missing = with_file(), with_file(), make_asset(temp_storage_path="nowhere.png")
    operation = make("promote", [saved, gone, missing])
    steer(operation, "start")
    dispositions.delete([gone.pk], actor=staff)
    advanced(operation)
    assert json_of(client, operation) == {
        "id": operation.pk, "action": "promote", "state": "finished",
        "total": 3, "done": 1, "failed": 1, "gone": 1, "undone": 0,
        "rate": "", "left": "",
    }  # fmt: skip
    shown = look(operation)
    assert "Save to the library: finished" in shown.text
    assert "Saved 1 Gone before 1 Failed 1" in shown.text
    assert f"{missing.pk} failed The file is missing from the store" in shown.text
    assert f"{gone.pk} gone before" in shown.text
    assert str(saved.pk) not in shown.html


def test_an_operation_under_way_is_asked_after_again(make, steer, look):
    operation = make("delete", make_assets(2))
    assert "every 1s" not in look(operation).html
    steer(operation, "start")
    shown = look(operation)
    assert 'hx-trigger="every 1s"' in shown.html
    assert '<noscript><meta http-equiv="refresh"' in shown.html
    assert "0 of 2" in shown.text
    assert "every 1s" not in look(advanced(operation)).html


def test_a_script_gets_the_section_alone(run, look):
    shown = look(run("delete", make_assets(1)), **{"HX-Request": "true"})
    assert "<html" not in shown.html
    assert shown.html.strip().startswith('<section id="operation"')


def test_progress_is_never_kept_by_a_browser(run, client):
    operation = run("delete", make_assets(1))
    for ending in ("/", ".json"):
        assert "no-store" in client.get(f"/operations/{operation.pk}{ending}")["Cache-Control"]


def test_progress_has_a_rate_and_the_time_left(make, look, client):
    operation = make("delete", make_assets(3))
    started = timezone.now() - timedelta(seconds=100)
    Operation.objects.filter(pk=operation.pk).update(
        state="running", started_at=started, total=1_000, done=400, gone=50, failed=50, settled_before=300
    )
    shown = look(operation)
    assert "500 of 1,000 · 2 a second" in shown.text
    assert "min left" in shown.text
    assert json_of(client, operation)["rate"] == "2 a second"


def test_the_first_50_results_are_on_the_page_and_the_rest_in_the_csv(run, look):
    operation = run("promote", make_assets(60))
    shown = look(operation)
    assert shown.html.count('data-result="failed"') == 50
    assert "The first 50; all of them are in the CSV." in shown.text


def test_reasons_stay_text(run, look):
    operation = run("promote", [make_asset()])
    operation.items.update(reason="<img src=x onerror=alert(1)>")
    shown = look(operation)
    assert "<img src=x" not in shown.html
    assert "<img src=x onerror=alert(1)>" in shown.text


def test_a_filter_that_looks_like_markup_stays_text(make, look):
    operation = make("delete", select="all", filter='model="><script>alert(1)</script>')
    shown = look(operation)
    assert "<script>alert" not in shown.html


def test_one_may_go_back_to_where_one_was(make, steer, client):
    make_assets(2, model_used="flux")
    operation = make("delete", select="all", filter="model=flux&view=table")
    response = steer(operation, "start", and_back="1")
    assert response["Location"] == "/assets/?model=flux&view=table"
    shown = Page(client.get(response["Location"]))
    assert "Delete: under way" in shown.text
    assert f'<a href="/operations/{operation.pk}/">Operation {operation.pk}</a>' in shown.html
    assert ProcrastinateJob.objects.filter(args__operation_id=operation.pk).count() == 1


def test_back_from_ticked_assets_is_the_gallery(make, steer):
    assert steer(make("delete", make_assets(1)), "start", and_back="1")["Location"] == "/assets/"


def test_a_large_selection_is_prepared_in_the_background(make, look, client, monkeypatch):
    monkeypatch.setattr("assets.bulk.FREEZE_AT_ONCE", 3)
    make_assets(5)
    operation = make("delete", select="all", filter="")
    assert operation.state == "preparing"
    assert "The selection is being written down." in look(operation).text
    assert json_of(client, operation)["state"] == "preparing"
    assert ProcrastinateJob.objects.filter(args__operation_id=operation.pk).count() == 1
    assert "Delete: 5 assets?" in look(advanced(operation)).text


def test_what_is_being_prepared_cannot_be_started(make, steer, monkeypatch):
    monkeypatch.setattr("assets.bulk.FREEZE_AT_ONCE", 3)
    make_assets(5)
    operation = make("delete", select="all", filter="")
    assert steer(operation, "start").status_code == 400
    operation.refresh_from_db()
    assert operation.state == "preparing"


# --- A real worker -----------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_worker_does_what_was_started(make, steer, client, with_file):
    empty_queue()

    def work():
        with app.replace_connector(app.connector.get_worker_connector()):
            app.run_worker(wait=False, install_signal_handlers=False, listen_notify=False)

    assets = [with_file(), with_file(), make_asset(temp_storage_path="nowhere.png")]
    operation = make("promote", assets)
    work()
    assert json_of(client, operation)["state"] == "ready"  # nobody has confirmed it
    steer(operation, "start")
    work()
    told = json_of(client, operation)
    assert (told["state"], told["done"], told["failed"]) == ("finished", 2, 1)
    assert LibraryAsset.objects.count() == 2
    steer(operation, "undo")
    work()
    assert json_of(client, operation)["state"] == "undone"
    assert WorkspaceAsset.objects.count() == 3
    assert not LibraryAsset.objects.exists()


# --- Steering ------------------------------------------------------------------


def test_an_operation_is_started_once(make, steer):
    operation = make("delete", make_assets(2))
    steer(operation, "start")
    shown = Page(steer(operation, "start"))
    assert shown.status == 400
    assert "It is not waiting to be confirmed." in shown.text
    assert ProcrastinateJob.objects.filter(args__operation_id=operation.pk).count() == 1
    advanced(operation)
    assert steer(operation, "start").status_code == 400
    assert Disposition.objects.count() == 2


def test_what_is_put_away_leads_to_what_it_was_selected_from(make, steer):
    make_assets(2, model_used="flux")
    operation = make("delete", select="all", filter="model=flux")
    assert steer(operation, "cancel")["Location"] == "/assets/?model=flux"


def test_a_draft_is_put_away(make, steer, client):
    operation = make("delete", make_assets(2))
    response = steer(operation, "cancel")
    assert response["Location"] == "/assets/"
    assert "Put away: nothing was done." in Page(client.get("/assets/")).text
    operation.refresh_from_db()
    assert operation.state == "cancelled"
    assert steer(operation, "start").status_code == 400
    assert advanced(operation).done == 0
    assert WorkspaceAsset.objects.count() == 2


def test_what_was_put_away_cannot_be_gone_on_with(make, steer, client, look):
    operation = make("delete", make_assets(2))
    steer(operation, "cancel")
    for move in ("retry", "undo"):
        assert steer(operation, move)["Location"] == f"/operations/{operation.pk}/"
        operation.refresh_from_db()
        assert operation.state == "cancelled"
    shown = look(operation)
    assert reverse("retry", args=[operation.pk]) not in shown.html
    assert reverse("undo", args=[operation.pk]) not in shown.html


def test_what_runs_is_cancelled_and_gone_on_with(make, steer, look):
    operation = make("delete", make_assets(2))
    steer(operation, "start")
    assert steer(operation, "cancel")["Location"] == f"/operations/{operation.pk}/"
    assert advanced(operation).done == 0
    shown = look(operation)
    assert "Delete: cancelled" in shown.text
    assert "Go on" in shown.text
    steer(operation, "retry")
    assert (advanced(operation).state, operation.done) == ("finished", 2)


def set_jobs(status):
    """As a worker leaves them in the queue."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_jobs SET status = %s", [status])


def test_after_a_cancel_the_page_asks_on_while_the_chunk_under_way_is_finished(make, steer, look):
    operation = make("delete", make_assets(3))
    steer(operation, "start")
    set_jobs("doing")
    bulk._act("delete", list(operation.items.values_list("asset_id", flat=True))[:2], operation)
    steer(operation, "cancel")
    shown = look(operation)
    assert "Stopping: what is under way is being finished." in shown.text
    assert 'hx-trigger="every 1s"' in shown.html
    for move in ("retry", "undo", "cancel"):
        assert reverse(move, args=[operation.pk]) not in shown.html
    set_jobs("succeeded")
    shown = look(operation)
    assert "Stopping" not in shown.text
    assert "every 1s" not in shown.html
    for move in ("retry", "undo"):
        assert reverse(move, args=[operation.pk]) in shown.html


def test_the_job_of_another_operation_does_not_count_as_stopping(make, steer, look):
    operation, other = (make("delete", make_assets(1)) for _ in range(2))
    for each in (operation, other):
        steer(each, "start")
    steer(operation, "cancel")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE procrastinate_jobs SET status = 'doing' WHERE lock = %s", [f"operation-{other.pk}"]
        )
    assert "Stopping" not in look(operation).text


def test_what_somebody_started_in_between_is_not_said_to_be_put_away(make, steer, client, monkeypatch, admin):
    operation = make("delete", make_assets(2))
    plainly = bulk.cancel

    def cancel_too_late(found):
        bulk.start(Operation.objects.get(pk=found.pk), actor=admin, confirmed=None, options={})
        plainly(found)

    monkeypatch.setattr(bulk, "cancel", cancel_too_late)
    assert steer(operation, "cancel")["Location"] == f"/operations/{operation.pk}/"
    assert "Put away" not in Page(client.get("/assets/")).text


def test_what_has_ended_is_not_cancelled(run, steer, look):
    operation = run("delete", make_assets(2))
    steer(operation, "cancel")
    assert "It is not under way any more." in look(operation).text
    operation.refresh_from_db()
    assert operation.state == "finished"


def test_what_failed_is_tried_again(run, steer, look, stores):
    assets = make_assets(2, temp_storage_path="late.png")
    operation = run("promote", assets[:1])
    assert operation.failed == 1
    assert "Try the failed again" in look(operation).text
    (stores / "workspace" / "late.png").write_bytes(PNG)
    steer(operation, "retry")
    assert (advanced(operation).done, operation.failed) == (1, 0)
    shown = look(operation)
    assert "Try the failed again" not in shown.text
    assert "What did not go" not in shown.text


def test_where_nothing_is_left_nothing_is_tried_again(run, steer, look):
    operation = run("delete", make_assets(2))
    steer(operation, "retry")
    assert "There is nothing left to do." in look(operation).text
    operation.refresh_from_db()
    assert operation.state == "finished"


def test_what_is_under_way_is_neither_tried_again_nor_undone(make, steer, look):
    operation = make("delete", make_assets(2))
    steer(operation, "start")
    shown = look(operation)
    assert reverse("cancel", args=[operation.pk]) in shown.html
    for move in ("retry", "undo"):
        assert reverse(move, args=[operation.pk]) not in shown.html
        steer(operation, move)
        operation.refresh_from_db()
        assert operation.state == "running"


def test_undo_says_for_how_long_by_whom_and_brings_all_back(run, steer, look, client):
    operation = run("delete", make_assets(3))
    assert "Undo for 23 h" in look(operation).text
    steer(operation, "undo")
    assert "Delete: being undone" in look(operation).text
    assert advanced(operation).state == "undone"
    shown = look(operation)
    assert "3 of 3 brought back by admins." in shown.text
    assert "Undone 3" in shown.text
    assert "Undo for" not in shown.text
    assert json_of(client, operation)["undone"] == 3
    assert WorkspaceAsset.objects.count() == 3


def test_an_extension_of_many_is_undone_at_any_time(run, steer, look):
    asset = make_asset(expires_in=timedelta(hours=3))
    operation = run("extend", [asset])
    was = asset.expires_at
    shown = look(operation)
    assert "Undo" in shown.text
    assert "Undo for" not in shown.text
    steer(operation, "undo")
    advanced(operation)
    asset.refresh_from_db()
    assert asset.expires_at == was


@pytest.mark.parametrize(
    ("action", "undone", "done", "heading", "sentence"),
    [
        ("delete", 3, 2, "Delete: partly undone", "3 of 5 brought back by admins; 2 could not be."),
        ("delete", 0, 2, "Delete: not undone", "0 of 2 brought back by admins; 2 could not be."),
        ("promote", 5, 0, "Save to the library: undone", "5 of 5 brought back by admins."),
        ("extend", 1, 1, "partly undone", "1 of 2 extensions taken back by admins; 1 could not be."),
    ],
)
def test_an_undo_is_told_by_its_counts(look, admin, action, undone, done, heading, sentence):
    operation = Operation.objects.create(
        action=action, state="undone", actor=admin, undone_by=admin, started_at=timezone.now(),
        total=undone + done, undone=undone, done=done,
    )  # fmt: skip
    shown = look(operation)
    assert heading in shown.text
    assert sentence in shown.text
    assert "What it did" not in shown.text


def test_what_could_not_be_undone_is_listed_with_its_reason(run, steer, look):
    assets = make_assets(3)
    operation = run("delete", assets)
    assets[0].save(force_insert=True)  # somebody put a row in its place
    steer(operation, "undo")
    advanced(operation)
    shown = look(operation)
    assert "2 of 3 brought back by admins; 1 could not be." in shown.text
    assert "Not undone: " in shown.text
    assert f'href="/assets/{assets[0].pk}/"' in shown.html
    assert f'href="/assets/{assets[1].pk}/"' not in shown.html


def test_after_the_grace_nothing_is_undone(run, steer, look):
    operation = run("delete", make_assets(2))
    Disposition.objects.update(purge_after=timezone.now() - timedelta(minutes=1))
    assert reverse("undo", args=[operation.pk]) not in look(operation).html
    steer(operation, "undo")
    assert "Nothing of this operation can be undone any more." in look(operation).text
    operation.refresh_from_db()
    assert operation.state == "finished"


def test_another_admin_may_take_it_over(make, look, client, admin):
    from django.contrib.auth.models import Group

    operation = make("delete", make_assets(1))
    other = User.objects.create_user("other")
    other.groups.add(Group.objects.get(name="Admins"))
    client.force_login(other)
    client.post(reverse("start", args=[operation.pk]))
    advanced(operation)
    assert Disposition.objects.get().actor == operation.actor == other


# --- The CSV -------------------------------------------------------------------


def lines_of(client, operation):
    response = client.get(f"/operations/{operation.pk}.csv")
    assert response.streaming
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == f'attachment; filename="operation-{operation.pk}.csv"'
    return list(csv.reader(io.StringIO(response.getvalue().decode())))


def test_the_csv_has_every_asset_and_what_became_of_it(run, client, staff, with_file, make, steer):
    saved, gone, missing = with_file(), with_file(), make_asset(temp_storage_path="nowhere.png")
    operation = make("promote", [saved, gone, missing])
    steer(operation, "start")
    dispositions.delete([gone.pk], actor=staff)
    advanced(operation)
    header, *lines = lines_of(client, operation)
    assert header == ["asset_id", "verb", "state", "reason"]
    assert {line[0]: line[1:] for line in lines} == {
        str(saved.pk): ["promote", "done", ""],
        str(gone.pk): ["promote", "gone", ""],
        str(missing.pk): ["promote", "failed", "The file is missing from the store"],
    }


def test_the_csv_of_many_assets_has_them_all(make, client):
    operation = make("delete", make_assets(2_500))
    lines = lines_of(client, operation)
    assert len(lines) == 2_501
    assert len({line[0] for line in lines}) == 2_501


def test_a_csv_that_breaks_off_says_so(make, client, monkeypatch):
    operation = make("delete", make_assets(3))
    real = operations._item_parts

    def parts(found):
        yield next(real(found))
        raise OperationalError

    monkeypatch.setattr(operations, "RESULTS_AT_ONCE", 2)
    monkeypatch.setattr(operations, "_item_parts", parts)
    sent = b""
    with pytest.raises(OperationalError):
        for part in client.get(f"/operations/{operation.pk}.csv").streaming_content:
            sent += part
    assert sent.count(b"delete") == 2
    assert sent.decode().endswith(
        "This export broke off here: it is not complete. Try again or export less.\n"
    )


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d"])
def test_no_spreadsheet_runs_what_is_in_the_csv(make, client, start):
    operation = make("delete", make_assets(1))
    operation.items.update(reason=f'{start}HYPERLINK("https://elsewhere.example")')
    content = client.get(f"/operations/{operation.pk}.csv").getvalue().decode()
    [_, [*_, reason]] = csv.reader(io.StringIO(content, newline=""))
    assert reason == f'\'{start}HYPERLINK("https://elsewhere.example")'


def test_reasons_of_several_lines_stay_in_their_cell(make, client):
    operation = make("delete", make_assets(1))
    operation.items.update(reason='one, "two"\nthree')
    assert lines_of(client, operation)[1][3] == 'one, "two"\nthree'


# --- The list --------------------------------------------------------------------


def test_the_list_has_what_ran_and_ones_own_drafts(make, run, steer, fetch, client, admin, staff):
    ran, draft = run("delete", make_assets(1)), make("extend", make_assets(1))
    client.force_login(staff)
    shown = fetch("/operations/")
    assert f'href="/operations/{ran.pk}/"' in shown.html
    assert f'href="/operations/{draft.pk}/"' not in shown.html
    assert fetch(f"/operations/{draft.pk}/").status == 200
    client.force_login(admin)
    own = Page(client.get("/operations/"))
    assert f'href="/operations/{draft.pk}/"' in own.html
    assert "to be confirmed" in own.text


def test_who_may_not_confirm_is_told_that_it_waits(make, fetch, client, staff):
    draft = make("delete", make_assets(1))
    client.force_login(staff)
    assert "It waits for somebody who may confirm it." in fetch(f"/operations/{draft.pk}/").text


def test_the_list_has_pages_both_ways(fetch, staff):
    made = [Operation.objects.create(action="delete", state="finished", actor=staff) for _ in range(120)]
    expected = [f"#{operation.pk}" for operation in reversed(made)]
    first = fetch("/operations/")
    second = fetch(f"/operations/{first.link('next')}")
    third = fetch(f"/operations/{second.link('next')}")
    assert third.link("next") is None
    assert first.link("prev") is None
    seen = [word for shown in (first, second, third) for word in shown.text.split() if word.startswith("#")]
    assert seen == expected
    assert fetch(f"/operations/{second.link('prev')}").link("prev") is None


def test_the_list_of_those_with_failures_has_pages_of_its_own(fetch, staff):
    made = [
        Operation.objects.create(action="delete", state="finished", actor=staff, failed=number % 2)
        for number in range(120)
    ]
    expected = [f"#{operation.pk}" for operation in reversed(made) if operation.failed]
    first = fetch("/operations/?state=failed")
    second = fetch(f"/operations/{first.link('next').replace('&amp;', '&')}")
    assert second.link("next") is None
    seen = [word for shown in (first, second) for word in shown.text.split() if word.startswith("#")]
    assert seen == expected
    back = fetch(f"/operations/{second.link('prev').replace('&amp;', '&')}")
    assert [word for word in back.text.split() if word.startswith("#")] == expected[:50]


@pytest.mark.parametrize("state", ["finished", "nonsense", "failed "])
def test_a_state_that_the_list_does_not_know_selects_nothing_and_says_so(fetch, staff, state):
    operation = Operation.objects.create(action="delete", state="finished", actor=staff, failed=1)
    shown = fetch(f"/operations/?state={state}")
    assert "state is not understood" in shown.text
    assert f'href="/operations/{operation.pk}/"' not in shown.html


def test_no_operation_with_failures_says_so(fetch, staff):
    Operation.objects.create(action="delete", state="finished", actor=staff)
    assert "No operation has failures." in fetch("/operations/?state=failed").text


def test_a_page_link_of_the_list_that_makes_no_sense_says_so(fetch):
    shown = fetch("/operations/?after=nonsense")
    assert shown.status == 200
    assert "This page link is not understood" in shown.text
    assert "Nothing here" not in shown.text


def test_an_empty_list_says_how_operations_come_to_be_to_whoever_may_start_one(fetch, client, admin):
    assert "Nobody has saved, extended or deleted assets together yet." in fetch("/operations/").text
    client.force_login(admin)
    assert "Tick assets in the gallery" in fetch("/operations/").text


@pytest.mark.parametrize("ending", ["/", ".json", ".csv"])
def test_an_operation_that_is_not_there_is_not_found(fetch, ending):
    assert fetch(f"/operations/999999{ending}").status == 404


def test_what_an_operation_did_is_linked_to_the_ledger(run, look, fetch, client, staff):
    operation = run("delete", make_assets(2))
    make_asset()
    assert f'href="/removed/?operation={operation.pk}"' in look(operation).html
    client.force_login(staff)
    assert fetch(f"/removed/?operation={operation.pk}").total == 2


def test_the_users_that_are_not_listed_are_counted(client, admin):
    for number in range(11):
        make_asset(file_size_bytes=1_000 * (number + 1))
    client.force_login(admin)
    made = client.post("/operations/", {"action": "delete", "select": "all", "filter": ""})
    shown = Page(client.get(made["Location"]))
    assert "and others 3" in shown.text
