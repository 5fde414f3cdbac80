"""What is asked of the three sides: a page of ours, the statements of its floor, the stock admin's page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlencode
from uuid import UUID

from assets.filters import DEFAULT_SORT, SORTS
from assets.models import WorkspaceAsset
from assets.pagination import cursor_of
from assets.views.detail import MOST_SIBLINGS
from assets.views.gallery import PAGE_SIZE
from assets.views.users import MOST_ASSETS, MOST_JOBS
from bench import floors
from bench.asking import Statement
from bench.rows import ABSENT, COMMON, MEDIUM, MODELS, RARE, RARE_MODELS, RARE_SCENE, RARE_STEPS, user_ids

STOCK_LIST = "/admin/assets/workspaceasset/"
DEEP = 1_000  # pages
FIRST_PAGE, DEEP_PAGE = "first page, newest", "page 1,000"
ALL_MODELS = (*MODELS, *RARE_MODELS)
WIDE_RANGE = 10  # guidance_scale from here on is a fifth of the table


@dataclass(frozen=True)
class Request:
    name: str
    path: str
    lists: Statement | None = None  # whose rows the page shows
    beside: tuple[Statement, ...] = ()  # and what else it tells
    stock: str = ""
    touches_more: str = ""  # why its cost may grow with the table


class Sample(NamedTuple):
    """Rows of the table that are asked for."""

    user: str
    job: UUID
    asset: UUID
    seed: int
    deep_page: int  # 1,000, or halfway in a smaller table
    deep: str  # the cursor before it
    deep_where: tuple[datetime, UUID]


def sample(rows: int) -> Sample:
    assets = WorkspaceAsset.objects.order_by("-created_at", "-id")
    deep_page = min(DEEP, rows // PAGE_SIZE // 2)
    before_deep = assets[(deep_page - 1) * PAGE_SIZE - 1]
    some = assets[min(rows // 2, 50_000)]
    return Sample(
        user=user_ids()[0],
        job=some.job_id,
        asset=some.id,
        seed=some.generation_seed,
        deep_page=deep_page,
        deep=cursor_of(before_deep, SORTS[DEFAULT_SORT][1]),
        deep_where=(before_deep.created_at, before_deep.id),
    )


def requests(rows: int) -> list[Request]:
    known = sample(rows)
    return [*_lists(known), *_words(), *_settings(), *_deep(known), *_counts(known), *_other_pages(known)]


def _gallery(
    name: str, lists: Statement, rail: Sequence[Statement], stock: str | None = None, **query: object
) -> Request:
    return Request(
        name,
        f"/assets/?{urlencode(query)}",
        lists,
        (*rail, _SAVED_VIEWS),
        stock="" if stock is None else f"{STOCK_LIST}?{stock}",
    )


# The rail says whose they are.
_SAVED_VIEWS = Statement(
    "SELECT view.*, username FROM assets_savedview AS view"
    " JOIN auth_user ON auth_user.id = owner_id LIMIT 100"
)


def _ordered(
    name: str, given: dict[str, str], stock: str, order: str = floors.NEWEST, **query: object
) -> Request:
    """A list that an index in its order answers."""
    lists = floors.listed(" AND ".join(given.values()) or "true", order)
    return _gallery(name, lists, floors.rail(ALL_MODELS, given, order), stock, **query)


def _lists(known: Sample) -> Iterator[Request]:
    user, job = f"user_id = {floors.literal(known.user)}", f"job_id = {floors.literal(known.job)}"
    rare = RARE_MODELS[0]
    soon = "expires_at > now() AND expires_at <= now() + interval '24 hours'"
    yield _ordered(FIRST_PAGE, {}, "")
    yield _ordered("a heavy user", {"user": user}, f"user__id__exact={known.user}", user=known.user)
    yield _ordered("a job", {"job": job}, f"job__id__exact={known.job}", job=known.job)
    yield _ordered(
        "type + model",
        {"type": "asset_type = 'video'", "model": "model_used = 'flux'"},
        "asset_type__exact=video&model_used=flux",
        type="video",
        model="flux",
    )
    yield _ordered(
        "a rare model", {"model": f"model_used = {floors.literal(rare)}"}, f"model_used={rare}", model=rare
    )
    yield _ordered(
        "expiring in 24 h", {"expires": soon}, "", "expires_at, id", expires="24h", sort="expires_at"
    )


def _words() -> Iterator[Request]:
    head = floors.probed(floors.head_has_word(COMMON))
    yield _gallery(
        "word, common", head, [floors.rail_of_head(floors.head_has_word(COMMON))], f"q={COMMON}", q=COMMON
    )
    for label, word in (("medium", MEDIUM), ("rare", RARE), ("absent", ABSENT)):
        where = floors.has_word(word)
        yield _gallery(f"word, {label}", floors.gathered(where), [floors.rail_of(where)], f"q={word}", q=word)
    where = f"{floors.has_word(MEDIUM)} AND model_used = 'flux'"
    yield _gallery(
        "word + model",
        floors.gathered(where),
        [floors.rail_of(where)],
        f"q={MEDIUM}&model_used=flux",
        q=MEDIUM,
        model="flux",
    )


def _settings() -> Iterator[Request]:
    common, rare = floors.has_setting("steps", 30), floors.has_setting("steps", RARE_STEPS)
    yield _gallery(
        "setting equal, common", floors.probed(common), [floors.rail_of_head(common)], setting="steps=30"
    )
    yield _gallery(
        "setting equal, rare", floors.gathered(rare), [floors.rail_of(rare)], setting=f"steps={RARE_STEPS}"
    )
    wide = f"(generation_settings ->> 'guidance_scale')::numeric >= {WIDE_RANGE}"
    yield _gallery(
        "setting range, common",
        floors.probed(wide),
        [floors.rail_of_head(wide)],
        setting=f"guidance_scale>={WIDE_RANGE}",
    )
    few = floors.has_setting("scene_id", *range(RARE_SCENE + 1, RARE_SCENE + 6))
    yield _gallery(
        "setting range, rare",
        floors.gathered(few),
        [floors.values_above("scene_id", RARE_SCENE), floors.rail_of(few)],
        setting=f"scene_id>{RARE_SCENE}",
    )


def _deep(known: Sample) -> Iterator[Request]:
    seed = f"generation_seed = {known.seed}"
    yield _gallery(
        "seed",
        floors.gathered(seed),
        [floors.rail_of(seed)],
        f"generation_seed__exact={known.seed}",
        seed=known.seed,
    )
    rail = floors.rail(ALL_MODELS, {})
    cursor = ", ".join(map(floors.literal, known.deep_where))
    after, before = (f"(created_at, id) {sign} ({cursor})" for sign in "<>")
    yield _gallery(DEEP_PAGE, floors.listed(after), rail, f"p={known.deep_page}", after=known.deep)
    yield _gallery("page back", floors.listed(before, floors.OLDEST), rail, before=known.deep)


def _counts(known: Sample) -> Iterator[Request]:
    given = {"user": f"user_id = {floors.literal(known.user)}"}
    facets = f"{STOCK_LIST}?_facets=True"
    yield Request("facets", "/bench/facets/", beside=floors.rail(ALL_MODELS, {}), stock=facets)
    yield Request(
        "facets of a heavy user",
        f"/bench/facets/?user={known.user}",
        beside=floors.rail(ALL_MODELS, given),
        stock=f"{facets}&user__id__exact={known.user}",
    )
    yield Request("total", "/bench/total/", beside=(floors.total(),))
    yield Request(
        "total, exact, asked for",
        "/assets/count/",
        beside=(Statement("SELECT count(*) FROM workspace_assets"),),
        touches_more="every row is counted",
    )


def _other_pages(known: Sample) -> Iterator[Request]:
    user = floors.literal(known.user)
    yield Request(
        "a user's statistics",
        f"/users/{known.user}/",
        floors.listed(f"user_id = {user}", size=MOST_ASSETS),
        tuple(floors.of_user(user, MOST_JOBS)),
    )
    yield Request("the overview", "/overview/", beside=tuple(floors.of_overview()))
    asset, job = floors.literal(known.asset), floors.literal(known.job)
    yield Request(
        "one asset",
        f"/assets/{known.asset}/",
        floors.listed(f"job_id = {job}", "asset_index, id", MOST_SIBLINGS - 1, floors.COMPARED),
        tuple(floors.of_asset(asset, job)),
    )
    yield Request(
        "admin changelist",
        STOCK_LIST,
        floors.listed(size=99),
        (floors.total(),),
        stock=STOCK_LIST,
    )
