"""Every parameter of the gallery, with values that are understood and values that are not."""

from datetime import timedelta
from urllib.parse import quote
from uuid import uuid4

import pytest
from django.http import QueryDict
from django.urls import reverse
from django.utils import timezone

from assets.filters import AssetFilterSet
from assets.models import WorkspaceAsset
from assets.models.prompts import has_letters_of
from tests.factories import GONE, make_asset, make_job, make_user, unenforce_keys

pytestmark = pytest.mark.django_db

GALLERY = "/assets/"


def selected(query):
    return set(AssetFilterSet(QueryDict(query)).qs.values_list("id", flat=True))


def ids(*assets):
    return {asset.id for asset in assets}


# --- Values that are understood ------------------------------------------------


def test_user_by_name_and_by_uuid():
    ada, mine, other = (user := make_user("ada")), make_asset(user), make_asset()
    assert selected("user=ada") == selected(f"user={ada.id}") == ids(mine)
    assert other.id not in selected("user=ada")


def test_user_without_a_profile_is_found_by_uuid():
    unenforce_keys()
    orphan = make_asset()
    orphan.user_id = GONE
    orphan.save()
    make_asset()
    assert selected(f"user={GONE}") == ids(orphan)


def test_job():
    job = make_job()
    mine = make_asset(job.user, job)
    make_asset()
    assert selected(f"job={job.id}") == ids(mine)


def test_type_and_model():
    image = make_asset(model_used="flux")
    video = make_asset(asset_type="video", model_used="flux")
    make_asset(asset_type="video", model_used="Flux")
    assert selected("type=image") == ids(image)
    assert selected("type=video&model=flux") == ids(video)
    assert selected("model=flux") == ids(image, video)
    assert selected("model=no-such-model") == set()


@pytest.mark.parametrize(
    ("expires", "inside", "outside"),
    [
        ("1h", timedelta(minutes=59), timedelta(minutes=61)),
        ("24h", timedelta(hours=23), timedelta(hours=25)),
        ("3d", timedelta(days=2), timedelta(days=4)),
        ("7d", timedelta(days=6), timedelta(days=8)),
        ("1h", timedelta(minutes=1), timedelta(minutes=-1)),
        ("expired", timedelta(minutes=-1), timedelta(minutes=1)),
    ],
)
def test_expiry_windows_hold_what_has_not_expired(expires, inside, outside):
    wanted = make_asset(expires_in=inside)
    make_asset(expires_in=outside)
    make_asset(expires_at=None)
    assert selected(f"expires={expires}") == ids(wanted)


def test_never_expiring():
    wanted = make_asset(expires_at=None)
    make_asset()
    assert selected("expires=never") == ids(wanted)


def test_prompt_words_match_whole_words_in_any_order_and_case():
    fox = make_asset(original_prompt="A RED fox, in the snow")
    make_asset(original_prompt="a redder foxhound")
    assert selected("q=fox") == selected("q=Fox+red") == selected("q=snow,+fox!") == ids(fox)
    assert selected("q=fox+hound") == set()


def test_prompt_words_in_other_scripts():
    wanted = make_asset(original_prompt="ein grüner Drache 龍 العربية")
    make_asset()
    assert selected("q=grüner") == selected("q=龍") == selected("q=العربية") == ids(wanted)


@pytest.mark.parametrize(
    "words",
    ["lora", "film grain", "<lora:film-grain:0.8>", "fox <lora>", "shadow", "light/shadow", "GOLDEN",
     "dawn.golden", "uhd", "home", "hound", "1.3"],
)  # fmt: skip
def test_words_are_divided_as_people_divide_them(words):
    prompt = "(fox:1.3) <lora:film-grain:0.8>, light/shadow at dawn.Golden hour, 8k/uhd, cat@home &hound;"
    wanted = make_asset(original_prompt=prompt)
    make_asset(original_prompt="a red hen")
    assert selected(f"q={quote(words)}") == ids(wanted)
    assert WorkspaceAsset.objects.filter(has_letters_of(words)).get() == wanted


def test_seed_zero_is_a_seed():
    zero, negative = make_asset(generation_seed=0), make_asset(generation_seed=-5)
    assert selected("seed=0") == ids(zero)
    assert selected("seed=-5") == ids(negative)


def test_mime():
    wanted = make_asset(mime_type="image/webp")
    make_asset()
    assert selected("mime=image/webp") == ids(wanted)


@pytest.mark.parametrize("size", ["1500000", "1500 kB", "1.5MB", "1.5 m", " 1.5 MB "])
def test_sizes_take_units_and_bounds_are_inclusive(size):
    small, exact, large = (make_asset(file_size_bytes=number) for number in (1_499_999, 1_500_000, 1_500_001))
    assert selected(f"size_min={size}") == ids(exact, large)
    assert selected(f"size_max={size}") == ids(small, exact)


def test_created_from_a_day_and_before_a_day():
    day = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
    inside = make_asset(created_at=day)
    before = make_asset(created_at=day - timedelta(seconds=1))
    after = make_asset(created_at=day + timedelta(days=1))
    undated = make_asset(created_at=None)
    first, second = f"{day:%Y-%m-%d}", f"{day + timedelta(days=1):%Y-%m-%d}"
    assert selected(f"created_after={first}&created_before={second}") == ids(inside)
    assert selected(f"created_after={first}") == ids(inside, after)
    assert selected(f"created_before={first}") == ids(before)
    assert undated.id in selected("")
    assert selected(f"created_after={day:%Y-%m-%dT%H:%M}Z") == ids(inside, after)


def test_expiring_from_a_time_and_before_a_time():
    hour = timezone.now().replace(minute=0, second=0, microsecond=0) + timedelta(days=1)
    inside = make_asset(expires_at=hour)
    before = make_asset(expires_at=hour - timedelta(microseconds=1))
    after = make_asset(expires_at=hour + timedelta(hours=1))
    never = make_asset(expires_at=None)
    first, second = (f"{time:%Y-%m-%dT%H:%M}Z" for time in (hour, hour + timedelta(hours=1)))
    assert selected(f"expires_after={first}&expires_before={second}") == ids(inside)
    assert selected(f"expires_after={first}") == ids(inside, after)
    assert selected(f"expires_before={first}") == ids(before)
    assert never.id in selected("")


def test_filters_add_up():
    user = make_user("eve")
    wanted = make_asset(user, generation_seed=5, expires_in=timedelta(hours=2))
    make_asset(user, generation_seed=6, expires_in=timedelta(hours=2))
    make_asset(user, generation_seed=5, expires_in=timedelta(days=3))
    make_asset(generation_seed=5, expires_in=timedelta(hours=2))
    assert selected("user=eve&seed=5&expires=24h&type=image&q=fox&setting=steps%3D30") == ids(wanted)


def test_empty_values_select_everything():
    asset = make_asset()
    names = AssetFilterSet.base_filters
    assert selected("&".join(f"{name}=" for name in names)) == ids(asset)


# --- Values that are not understood --------------------------------------------

NOT_UNDERSTOOD = [
    ("user=nobody", "There is no user named “nobody”."),
    ("job=123", "Write the UUID of a job."),
    ("type=a%00b", "Null characters are not allowed."),
    ("self=1", "There is no filter named “self”."),
    ("sort=-file_size_bytes&after=null~6f1c1d2e-0000-4000-8000-000000000000", "page link"),
    ("setting=tags%3D[1]", "compares with a list or an object"),
    ("type=imge", "“imge” is not a type of asset: choose image or video."),
    ("expires=2h", "“2h” is not known here: choose 1h, 24h, 3d, 7d, expired or never."),
    ("q=!!!", "Write at least one word."),
    ("q=" + "x" * 301, "at most 300 characters"),
    ("q=a%00b", "Null characters are not allowed."),
    ("seed=twelve", "Write a whole number."),
    ("seed=1.5", "Write a whole number."),
    ("seed=9223372036854775808", "less than or equal to 9223372036854775807"),
    ("mime=png", "Write a type such as image/png."),
    ("created_after=yesterday", "Write a day such as 2026-11-20"),
    ("expires_before=tomorrow", "Write a day such as 2026-11-20"),
    ("expires_after=2026-02-03&expires_before=2026-02-01", "These two times leave nothing between them."),
    ("created_before=2026-02-30", "Write a day such as 2026-11-20"),
    ("created_after=2026-02-03&created_before=2026-02-01", "These two times leave nothing between them."),
    ("size_min=big", "Write a size such as 500000, 500 kB or 1.5 MB."),
    ("size_min=-5", "Write a size such as 500000, 500 kB or 1.5 MB."),
    ("size_max=5 PB", "Write a size such as 500000, 500 kB or 1.5 MB."),
    ("size_min=5MB&size_max=1MB", "The smallest size is above the largest."),
    ("setting=%3D30", "is not a condition"),
    ("setting=steps>many", "compares with something that is not a number"),
    ("setting=a%3D%22%5Cu0000%22", "has a character that no setting can hold"),
    ("setting=a%3D%22%5Cud800%22", "has a character that no setting can hold"),
    ("sort=created", "choose -created_at, created_at, expires_at or -file_size_bytes"),
    ("view=list", "choose grid or table"),
    ("usr=ada", "There is no filter named “usr”."),
    ("type=image&type=video", "“type” is given 2 times."),
    ("after=nonsense", "This page link is not understood"),
    ("before=nonsense", "This page link is not understood"),
    ("after=2026-11-20T00:00:00~6f1c1d2e-0000-4000-8000-000000000000", "This page link is not understood"),
    ("after=null~1", "This page link is not understood"),
    ("sort=-file_size_bytes&after=99999999999999999999~6f1c1d2e-0000-4000-8000-000000000000", "page link"),
]


@pytest.mark.parametrize(("query", "message"), NOT_UNDERSTOOD)
def test_what_is_not_understood_selects_nothing_and_says_so(fetch, query, message):
    make_asset()
    shown = fetch(f"{GALLERY}?{query}")
    assert shown.status == 200
    assert shown.ids == []
    assert any(message in error for error in shown.errors), shown.errors


@pytest.mark.parametrize(
    "query", [query for query, _ in NOT_UNDERSTOOD if "after=" not in query and "before=n" not in query]
)
def test_the_total_of_what_is_not_understood_is_nothing(fetch, query):
    make_asset()
    assert fetch(f"{GALLERY}?{query}").total == 0
    assert fetch(f"{reverse('count')}?{query}").total == 0


def test_a_type_that_only_the_product_knows_can_be_chosen():
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE workspace_assets DROP CONSTRAINT workspace_assets_asset_type_check")
    audio = make_asset(asset_type="audio")
    make_asset()
    assert selected("type=audio") == ids(audio)


# --- The query string ------------------------------------------------------------


def test_query_drops_cursors_and_empty_values():
    filterset = AssetFilterSet(QueryDict("type=image&q=&after=x&setting=a&setting=&setting=b"))
    assert filterset.query() == "type=image&setting=a&setting=b"
    assert filterset.query(type=None, sort="expires_at") == "setting=a&setting=b&sort=expires_at"


def test_chips_name_each_filter_and_lead_to_the_page_without_it(fetch):
    user = make_user("ada")
    make_asset(user)
    shown = fetch(f"{GALLERY}?user={user.id}&expires=7d&setting=steps%3D30&setting=scene_id")
    assert shown.chips == ["User ada", "Expires within 7 days", "Setting steps=30", "Setting scene_id"]
    assert f'href="/assets/?user={user.id}&amp;expires=7d&amp;setting=scene_id"' in shown.html


def test_the_chip_of_an_expiry_takes_its_order_along(fetch):
    shown = fetch(GALLERY, type="image", expires="24h", sort="expires_at")
    assert 'href="/assets/?type=image" aria-label="Remove Expires within 24 hours"' in shown.html
    shown = fetch(GALLERY, expires="24h", sort="created_at")
    assert 'href="/assets/?sort=created_at" aria-label="Remove Expires within 24 hours"' in shown.html


def test_a_value_that_looks_like_html_stays_text(fetch):
    shown = fetch(GALLERY, model="<script>alert(1)</script>", q='"><img src=x onerror=alert(1)>')
    assert "<script>alert" not in shown.html
    assert "<img src=x" not in shown.html


def test_missing_uuid_of_a_job_is_an_empty_list_not_an_error(fetch):
    shown = fetch(f"{GALLERY}?job={uuid4()}")
    assert shown.errors == []
    assert "No asset matches all of these filters" in shown.text
