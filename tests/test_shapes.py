"""What is written once for selections alike is, for each of them, what would be written for it alone."""

from itertools import combinations
from uuid import uuid4

import pytest
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext

from assets import facets, shapes
from assets.filters import EXPIRIES, SORTS, AssetFilterSet
from tests.factories import make_assets, make_job, make_user

pytestmark = pytest.mark.django_db

OPTIONS = (
    ("total", ("",)),
    ("type", ("image", "video")),
    ("model", ("flux", "sdxl")),
    ("expires", tuple(EXPIRIES)),
    ("verdict", ("approved", "flagged", "none")),
)
PARTS = (("", ("total", "type")), ("type", ("model", "expires", "verdict")))
WRITTEN = [(facets._write, OPTIONS), (facets._write_first_samples, PARTS)]
VALUES = {
    "user": [str(uuid4()), str(uuid4())],
    "job": [str(uuid4()), str(uuid4())],
    "model": ["flux", "fal-ai/wan-i2v"],
    "type": ["video", "video"],
    "expires": ["24h", "24h"],
}
CHOSEN = [names for size in range(len(VALUES) + 1) for names in combinations(VALUES, size)]


def selections(names, sort):
    """Two that are alike."""
    for values in zip(*(VALUES[name] for name in names), strict=True) if names else [(), ()]:
        query = QueryDict(mutable=True)
        query.update({**dict(zip(names, values, strict=True)), "sort": sort})
        yield AssetFilterSet(query)


@pytest.mark.parametrize(("write", "about"), WRITTEN)
@pytest.mark.parametrize("names", CHOSEN, ids="+".join)
def test_it_is_the_same_statement(names, write, about):
    for sort in SORTS:
        for filterset in selections(names, sort):
            kept, own = shapes.written(filterset, write, about), write(filterset, about)
            assert (kept.sql, kept.params) == (own.sql, own.params)
    assert shapes._kept.cache_info().hits


@pytest.mark.parametrize(
    "query", ["q=fox", "seed=7", "verdict=none", "size_min=1", "setting=steps=30", "typ=image", "type=x"]
)
def test_what_is_more_than_a_value_is_written_each_time(query):
    shapes.written(AssetFilterSet(QueryDict(query)), facets._write, OPTIONS)
    assert not shapes._kept.cache_info().currsize


def test_pages_alike_tell_what_each_of_them_has(fetch):
    users = [make_user("ada"), make_user("eve")]
    for number, user in zip((2, 3), users, strict=True):
        make_assets(number, user, make_job(user), asset_type="video")
    pages = [fetch("/assets/", user=user.username, type="image", sort="expires_at") for user in users]
    for page, number in zip(pages, (2, 3), strict=True):
        [images, videos] = page.response.context["facets"].types
        assert (str(images.count), str(videos.count)) == ("0", str(number))
        assert page.total == 0


# --- The total of a large workspace ----------------------------------------------


@pytest.fixture
def counted(fetch, monkeypatch):
    """Whether a first page counts its total; that of a workspace which is beyond the cap of 5."""
    monkeypatch.setattr("assets.facets.TOTAL_CAP", 5)
    monkeypatch.setattr("assets.views.gallery.PAGE_SIZE", 4)
    make_assets(7)

    def is_counted():
        with CaptureQueriesContext(connection) as queries:
            assert fetch("/assets/").total == 5
        return any("'total'" in each["sql"] for each in queries)

    return is_counted


def test_a_total_far_beyond_its_cap_is_counted_once_in_a_while(counted, monkeypatch):
    monkeypatch.setattr("assets.facets._about_all", lambda: 50)
    assert [counted(), counted()] == [True, False]


def test_a_total_not_far_beyond_its_cap_is_counted_for_each_page(counted, monkeypatch):
    monkeypatch.setattr("assets.facets._about_all", lambda: 49)
    assert [counted(), counted()] == [True, True]
