"""Finding in two steps finds what the filters mean, in the order of the list, whichever steps it takes."""

import random
from datetime import timedelta
from itertools import combinations

import pytest
from django.core.cache import cache
from django.db import OperationalError, connection, transaction
from django.db.models import BooleanField, Case, Q, Value, When
from django.db.models.expressions import RawSQL
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assets import facets, pagination, windows
from assets.facets import Listed, count_facets
from assets.filters import SORTS, AssetFilterSet
from assets.models import Review, WorkspaceAsset
from assets.models.prompts import has_letters_of, has_words
from assets.models.reviews import STANDING
from assets.pagination import cursor_of, keyset_page, neighbours, walk
from assets.reviews import verdicts
from assets.setting_conditions import SettingCondition
from assets.sieves import names_in_order
from assets.windows import estimate
from tests.factories import make_asset, make_assets, make_job, make_user

pytestmark = pytest.mark.django_db

# --- Whatever is asked for ---------------------------------------------------

CHOICES = {
    "user": ["ada", "eve"],
    "type": ["image", "video"],
    "model": ["sdxl", "wan", "rare"],
    "expires": ["24h", "7d", "expired", "never"],
    "q": ["fox", "red FOX", "snow-fox"],
    "seed": ["0", "7"],
    "mime": ["image/png"],
    "created_after": ["{day_ago}"],
    "created_before": ["{day_ago}"],
    "expires_after": ["{day_ago}"],
    "size_min": ["2"],
    "size_max": ["3"],
    "setting": ["steps=30", "steps>=30"],
    "same_prompt": ["{like}"],
    "same_settings": ["{like}"],
    "verdict": ["approved", "none"],
    "job": ["{job}"],
}


@pytest.fixture
def assets(staff):
    """Of few values, so that every combination finds some; with ties, and without times here and there."""
    chance = random.Random(5)
    users = [make_user("ada"), make_user("eve")]
    job = make_job(users[0])
    now = timezone.now()
    made = [
        make_asset(
            *([users[0], job] if number < 6 else [chance.choice(users)]),
            asset_index=number,
            asset_type=chance.choice(["image", "image", "video"]),
            model_used=chance.choice(["sdxl", "sdxl", "wan", "rare"]),
            created_at=chance.choice([now - timedelta(hours=12 * chance.randrange(5))] * 3 + [None]),
            expires_at=chance.choice([now + timedelta(hours=12 * chance.randrange(-1, 5))] * 3 + [None]),
            file_size_bytes=chance.randrange(1, 5),
            generation_seed=chance.choice([0, 7]),
            original_prompt=chance.choice(["A red fox", "snow-fox, red", "a bird"]),
            generation_settings=chance.choice([{"steps": 30}, {"steps": "30", "seed": 1}, {"steps": 40}, {}]),
        )
        for number in range(90)
    ]  # fmt: skip
    for asset in chance.sample(made, 30):
        Review.objects.create(asset_id=asset.id, verdict=chance.choice(STANDING), reviewer=staff)
    return made


def queries(assets, number, seed):
    chance = random.Random(seed)
    like = next(asset for asset in assets if asset.generation_settings == {"steps": 30})
    day_ago = f"{timezone.now() - timedelta(days=1):%Y-%m-%dT%H:%M}Z"
    for _ in range(number):
        names = chance.sample(sorted(CHOICES), chance.choice([1, 1, 2, 2, 3, 4]))
        query = QueryDict(mutable=True)
        for name in names:
            value = chance.choice(CHOICES[name])
            query[name] = value.format(day_ago=day_ago, like=like.id, job=assets[0].job_id)
        query["sort"] = chance.choice(list(SORTS))
        yield AssetFilterSet(query)


def plainly(filterset):
    """The selection sorted in plain Python."""
    column, descending = filterset.order.column, filterset.order.descending
    rows = list(filterset.qs)
    valued = [row for row in rows if getattr(row, column) is not None]
    empty = [row for row in rows if getattr(row, column) is None]
    valued.sort(key=lambda row: (getattr(row, column), row.id), reverse=descending)
    return [*valued, *sorted(empty, key=lambda row: row.id, reverse=descending)]


def pages(filterset, size, *, backward=False, start=""):
    listed, cursor = filterset.selection(), start
    while True:
        way = {"before" if backward else "after": cursor}
        page = keyset_page(listed.ordered, filterset.order, sieve=listed.sieve, size=size, **way)
        yield page.rows
        cursor = page.before if backward else page.after
        if not cursor:
            return


# Rows probed first and next, the number of which one must pass for that to go on, and how many are few.
EVERY_PATH = {
    "probed at once": (3_000, 30_000, 500, -1),
    "probed on": (4, 9, 10_000, -1),
    "probed on while it is worth it": (5, 10, 4, -1),
    "looked up at last": (2, 2, 0, -1),
    "looked up first": (2, 2, 0, 20_000),
}


@pytest.mark.parametrize("path", EVERY_PATH)
def test_pages_neighbours_and_walks_are_what_the_filters_mean(assets, monkeypatch, path):
    *probing, few = EVERY_PATH[path]
    for name, value in zip(("PROBED_FIRST", "PROBED_NEXT", "WORTHWHILE"), probing, strict=True):
        monkeypatch.setattr(pagination, name, value)
    monkeypatch.setattr(windows, "FEW", few)
    sifted = found = 0
    for filterset in queries(assets, 30, seed=path):
        assert not filterset.errors, filterset.errors
        expected, listed = plainly(filterset), filterset.selection()
        sifted += bool(listed.sieve)
        found += bool(expected)
        said = filterset.query()
        assert [row for rows in pages(filterset, 20) for row in rows] == expected, said
        if not expected:
            continue
        last = cursor_of(expected[-1], filterset.order)
        backward = [row for rows in pages(filterset, 20, backward=True, start=last) for row in reversed(rows)]
        assert backward[::-1] == expected[:-1], said
        index = len(expected) // 2
        around = neighbours(listed.ordered, filterset.order, expected[index], sieve=listed.sieve)
        assert around[0] == (expected[index - 1] if index else None), said
        assert around[1] == (expected[index + 1] if index + 1 < len(expected) else None), said
        chunks = walk(listed.ordered, filterset.order, ["id"], 30, sieve=listed.sieve)
        assert [pk for chunk in chunks for [pk] in chunk] == [row.id for row in expected], said
    assert sifted > 20
    assert found > 12


def _arrive():
    for _ in range(3):
        make_asset(original_prompt="a bird")


def _leave():
    newest = WorkspaceAsset.objects.filter(original_prompt="a bird").order_by("-created_at")[:3]
    WorkspaceAsset.objects.filter(id__in=list(newest.values_list("id", flat=True))).delete()


@pytest.mark.parametrize("worthwhile", [0, 10_000], ids=["looked up", "probed on"])
@pytest.mark.parametrize("meanwhile", [_arrive, _leave])
def test_rows_that_come_or_go_after_the_probe_neither_repeat_nor_hide_others(
    monkeypatch, meanwhile, worthwhile
):
    for name, value in {"PROBED_FIRST": 6, "PROBED_NEXT": 6, "WORTHWHILE": worthwhile}.items():
        monkeypatch.setattr(pagination, name, value)
    for number in range(20):
        prompt = "a bird" if number % 3 else "a fox"
        make_asset(original_prompt=prompt, ago=timedelta(hours=number + 1))
    expected = list(WorkspaceAsset.objects.filter(has_words("fox")).order_by("-created_at"))
    due = [meanwhile]

    def after_the_probe(execute, *rest):
        found = execute(*rest)
        if due:
            due.pop()()
        return found

    listed = AssetFilterSet(QueryDict("q=fox")).selection()
    order = SORTS["-created_at"][1]
    with connection.execute_wrapper(after_the_probe):
        page = keyset_page(listed.ordered, order, sieve=listed.sieve, size=50)
    assert page.rows == expected


# --- Counts --------------------------------------------------------------------


def chosen(filterset, name, value):
    """The exact number of assets that a facet's option would leave."""
    query = filterset.data.copy()
    query[name] = value
    return AssetFilterSet(query).qs.count()


# Rows of a sample, of them enough, and the most that are looked up.
EVERY_COUNT = {"of whole lists": (3_000, 15, 3_000), "of samples": (20, 1, 30), "looked up": (5, 99, 30)}


@pytest.mark.parametrize("way", EVERY_COUNT)
@pytest.mark.parametrize("is_listed", [False, True], ids=["unseen", "listed"])
def test_counts_are_exact_or_the_least_that_there_are(assets, monkeypatch, way, is_listed):
    for name, value in zip(("SAMPLE", "ENOUGH", "MOST_FOUND"), EVERY_COUNT[way], strict=True):
        monkeypatch.setattr(facets, name, value)
    monkeypatch.setattr(facets, "FACET_CAP", 25)
    exactly = at_least = 0
    for filterset in queries(assets, 12, seed=way):
        cache.clear()
        rows = list(filterset.qs) if is_listed else []
        counts = count_facets(
            filterset, Listed(rows, verdicts(row.id for row in rows)) if is_listed else None
        )
        told = {("total", ""): counts.total}
        for name, options in zip(("type", "model", "expires", "verdict"), counts[1:], strict=True):
            told |= {(name, value): count for value, count in options.items()}
        for (name, value), count in told.items():
            number = filterset.qs.count() if name == "total" else chosen(filterset, name, value)
            if count.capped:
                at_least += 1
                assert count.number <= number, (filterset.query(), name, value)
            else:
                exactly += 1
                assert count.number == number, (filterset.query(), name, value)
    assert exactly > 50
    assert at_least > 30 or way == "of whole lists" or is_listed


def test_counts_of_the_whole_workspace_are_each_of_their_own_moment():
    make_asset(expires_in=timedelta(days=3.5))
    filterset = AssetFilterSet(QueryDict("sort=expires_at"))
    told = []
    for _ in range(3):
        told.append([value for value, count in count_facets(filterset).expiries.items() if count.number])
        filterset.now += timedelta(days=3)
    assert told == [["7d"], ["24h", "3d", "7d"], ["expired"]]


@pytest.mark.django_db(transaction=True)
def test_a_page_whose_counts_take_too_long_has_its_assets_and_no_counts(client, staff, monkeypatch):
    monkeypatch.setattr(facets, "TIME_LIMIT", 0.05)
    slow = RawSQL("(SELECT pg_sleep(2) IS NULL)", (), BooleanField())
    monkeypatch.setattr(facets, "_is_counted", lambda filterset, name: False)
    monkeypatch.setattr(
        facets, "verdict_of_asset", lambda: Case(When(Q(slow), then=Value("none")), default=Value("x"))
    )
    make_assets(61)  # of fewer, the page itself has the counts
    client.force_login(staff)
    shown = client.get("/assets/").content.decode()
    assert shown.count("data-asset-id=") == 60
    assert '<span data-total="60" data-capped>60+</span>' in shown
    assert '<span>flagged</span> <span class="count" title="not known">…</span>' in shown
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.1)")  # the limit was for that statement alone


# --- Which steps -------------------------------------------------------------


def statements(query):
    filterset = AssetFilterSet(QueryDict(query))
    listed = filterset.selection()
    with CaptureQueriesContext(connection) as captured:
        keyset_page(listed.ordered, filterset.order, sieve=listed.sieve, size=5)
    return [statement["sql"] for statement in captured]


def test_what_is_frequent_is_found_by_one_statement_that_tries_the_first_rows(monkeypatch):
    monkeypatch.setattr(windows, "FEW", -1)
    for _ in range(8):
        make_asset(original_prompt="a red fox")
    estimate, probe = statements("q=fox")
    assert estimate.startswith("EXPLAIN")
    assert "LIMIT 3000" in probe
    assert probe.index("strpos") > probe.index("LIMIT 3000"), (
        "the first rows are found as if nothing else were asked"
    )


def test_what_is_rare_is_looked_up_by_the_index_on_words():
    make_asset(original_prompt="a zeppelin", ago=timedelta(hours=1))
    for _ in range(8):
        make_asset(original_prompt="a red fox")
    make_asset(original_prompt="a zeppelin", created_at=None)
    _estimate, looked_up = statements("q=zeppelin")  # those without a date as well
    assert "strpos" not in looked_up
    with connection.cursor() as cursor:
        # Of so few rows, another index would do as well.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; DROP INDEX assets_newest")
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {looked_up}")
        assert "assets_prompt_words" in str(cursor.fetchall())


def test_the_assets_of_a_job_are_found_by_one_statement():
    [_found] = statements(f"job={make_asset(created_at=None).job_id}")


@pytest.mark.parametrize(("few", "alone"), [(20_000, True), (-1, False)])
def test_what_is_rare_is_looked_up_without_all_that_are_of_its_type(monkeypatch, few, alone):
    monkeypatch.setattr(pagination, "PROBED_FIRST", 1)
    monkeypatch.setattr(windows, "FEW", few)
    for _ in range(2):
        make_asset(original_prompt="a red fox", asset_type="video")
    _estimate, *others = statements("q=zeppelin&type=video")
    looked_up = others[0] if alone else others[3]  # after what was tried
    fenced = looked_up[looked_up.rindex("FROM (SELECT") : looked_up.index(f"LIMIT {windows.EVERY_ROW}")]
    assert "@@" in fenced
    assert ("\"asset_type\" = 'video'" not in fenced) == alone


@pytest.mark.parametrize(("word", "is_looked_up"), [("fox", False), ("zeppelin", True)])
def test_what_the_first_rows_lack_by_chance_is_tried_further(monkeypatch, word, is_looked_up):
    monkeypatch.setattr(pagination, "PROBED_FIRST", 2)
    monkeypatch.setattr(windows, "FEW", -1)
    make_assets(3, original_prompt="a zeppelin", ago=timedelta(hours=2))
    make_assets(40, original_prompt="a red fox", ago=timedelta(hours=1))
    make_assets(2, original_prompt="a bird")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE workspace_assets")
    listing = statements(f"q={word}")
    assert any(f"LIMIT {windows.EVERY_ROW}" in each for each in listing) == is_looked_up


def test_few_that_only_a_scan_finds_are_not_looked_up(monkeypatch):
    monkeypatch.setattr(windows, "SOON_FOUND", 50)
    make_assets(4_000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE workspace_assets")
    videos = WorkspaceAsset.objects.filter(asset_type="video")
    assert not estimate(videos, SettingCondition.parse("unheard_of").as_q()).are_few()
    assert estimate(videos, Q(generation_seed=3)).are_few()


def test_what_the_list_found_rare_is_not_tried_again_for_its_counts(monkeypatch):
    monkeypatch.setattr(pagination, "PROBED_FIRST", 1)
    monkeypatch.setattr(facets, "SAMPLE", 1)
    make_assets(2, generation_settings={"steps": 3})

    def looks(*, is_listed):
        filterset = AssetFilterSet(QueryDict("setting=steps>30"))
        listed = filterset.selection()
        if is_listed:
            keyset_page(listed.ordered, filterset.order, sieve=listed.sieve, size=5)
        with CaptureQueriesContext(connection) as captured:
            count_facets(filterset)
        return sum('AS "part"' in query["sql"] for query in captured)

    assert looks(is_listed=False) == 2, "at the first rows, then at all that pass"
    assert looks(is_listed=True) == 1


def test_what_the_first_rows_of_the_list_lack_is_not_looked_for_among_them_again(monkeypatch):
    monkeypatch.setattr(pagination, "PROBED_FIRST", 2)
    monkeypatch.setattr(facets, "SAMPLE", 2)
    monkeypatch.setattr(facets, "ENOUGH", 1)
    monkeypatch.setattr(windows, "FEW", -1)
    make_assets(20, original_prompt="a red fox", ago=timedelta(hours=1))
    make_assets(2, original_prompt="a bird")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE workspace_assets")
    filterset = AssetFilterSet(QueryDict("q=fox"))
    listed = filterset.selection()
    assert len(keyset_page(listed.ordered, filterset.order, sieve=listed.sieve, size=5).rows) == 5
    with CaptureQueriesContext(connection) as captured:
        assert str(count_facets(filterset).total) == "20"
    assert sum('AS "part"' in query["sql"] for query in captured) == 1


COLUMNS = {"user": "user", "type": "asset_type", "model": "model_used"}


@pytest.mark.parametrize("sort", SORTS)
def test_an_index_has_each_ordered_list_in_its_order(sort):
    order = SORTS[sort][1]
    indexes = [[field.lstrip("-") for field in index.fields] for index in WorkspaceAsset._meta.indexes]
    for number in range(4):
        for names in combinations(COLUMNS, number):
            in_order = names_in_order(order, {*names, "expires", "size_min", "created_after", "q"})
            equal = [column for name, column in COLUMNS.items() if name in in_order]
            assert [*equal, order.column, "id"] in indexes
            ranges = {"created_after": "created_at", "expires": "expires_at", "size_min": "file_size_bytes"}
            assert in_order - set(names) == {
                name for name, column in ranges.items() if column == order.column
            }


@pytest.mark.parametrize(
    "query",
    ["user={user}&type=video", "expires=24h", "sort=expires_at&type=video", "q=fox", "mime=image/png"],
)
def test_what_no_index_answers_in_order_is_a_sieve(query):
    assert AssetFilterSet(QueryDict(query.format(user=make_user().id))).selection().sieve


# --- Words -------------------------------------------------------------------

odd = st.sampled_from(
    ["foo-bar", "FOX", "fox", "1e5", "-5", "5fox", "3.14", "a_b", "100%", "back\\slash", "x@y.org", "O'Neil",
     "http://a.org/b?c=d", "/usr/local/x.txt", "<b>", "<a fox>", "&amp;", "&#38;", "<!-- fox -->", "é",
     "e\u0301", "İ", "ı", "ſ", "K", "ß", "ΟΔΟΣ", "οδος", "龍", "ａｂ", "\u200b", "\u00ad", "😀", "word\ufeff",
     "ª", "٣", "ﬁ", "Ǆ", "v1.2.3"]
)  # fmt: skip
pieces = st.one_of(odd, st.text(max_size=6).filter(lambda text: "\0" not in text))
texts = st.lists(
    st.tuples(pieces, st.sampled_from(["", " ", ", ", "-", "\n", "'", ".", "_"])), max_size=6
).map(lambda parts: "".join(f"{piece}{gap}" for piece, gap in parts))
texts = texts.filter(lambda text: text.isprintable() or not any("\ud800" <= c <= "\udfff" for c in text))


@pytest.fixture
def fox():
    return make_asset()


@settings(max_examples=250)
@given(prompt=texts, start=st.integers(0, 20), length=st.integers(1, 12), other=texts)
@example(prompt="İstanbul K", start=0, length=12, other="istanbul k")
@example(prompt="ΑΣ'Β", start=0, length=2, other="ΑΣ")
@example(prompt="100% a_b back\\slash", start=0, length=20, other="100%")
def test_no_prompt_that_has_the_words_is_refused_for_its_letters(fox, prompt, start, length, other):
    WorkspaceAsset.objects.filter(id=fox.id).update(original_prompt=prompt)
    for words in {prompt, prompt[start : start + length], prompt.lower(), prompt.upper(), other}:
        exact = WorkspaceAsset.objects.filter(has_words(words))
        assert exact.exists() == exact.filter(has_letters_of(words)).exists(), (prompt, words)


def test_letters_refuse_prompts_without_the_words(fox):
    for words, prompt in [
        ("fox", "a bird"),
        ("fox bird", "a bird"),
        ("grün", "gruen ü"),
        ("/usr/a_b", "/usr/xb"),
    ]:
        WorkspaceAsset.objects.filter(id=fox.id).update(original_prompt=prompt)
        assert not WorkspaceAsset.objects.filter(has_letters_of(words)).exists(), words


def test_a_prompt_of_more_words_than_the_database_takes_is_listed_and_found_by_its_first(fetch):
    many = " ".join(f"w{number:x}" for number in range(250_000))
    with pytest.raises(OperationalError, match="too long for tsvector"), transaction.atomic():
        connection.cursor().execute("SELECT to_tsvector('simple', %s)", [many])
    asset = make_asset(original_prompt=f"zeppelin {many}")
    assert fetch("/assets/", q="zeppelin").ids == [str(asset.id)]
    assert fetch("/assets/", q="w3d08f").ids == []
