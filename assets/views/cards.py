"""What a grid or a table shows of each asset, as strings: a page has sixty of them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, lru_cache
from typing import Any
from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery, Value
from django.db.models.fields.json import KT
from django.db.models.functions import Coalesce, Left
from django.urls import reverse
from markupsafe import Markup

from assets.humanize import Expiry, expiry, instant_text, length_text, since_text, size_text
from assets.models import Disposition, LibraryAsset, Review, WorkspaceAsset
from assets.models.upstream import owner_name
from assets.reviews import verdicts

PROMPT_START = 160  # characters
KEPT = 1_000  # cards of each process: people look at the same pages again and again
MOST_KEPT = 2_000  # characters of those texts of a card that may have any length; with more it is not kept

_COLUMNS = (
    "pk", "user_id", "asset_type", "file_size_bytes", "duration_seconds", "job_id", "asset_index",
    "generation_seed", "model_used", "created_at", "expires_at", "width", "height",
)  # fmt: skip


@dataclass(slots=True, eq=False)
class Card:
    """Nobody changes one: it may be shown to others as well."""

    asset: Any  # the row
    id: str
    url: str
    preview_url: str
    video_url: str  # empty for what is not a video
    kind: str  # a badge: the length of a video, or the type
    model: str
    prompt: str
    owner: str
    owner_url: str
    expiry: Expiry
    expires_at: str  # for scripts
    expires_at_text: str
    created: str
    is_nsfw: bool
    verdict: str  # empty where there is none
    verdict_text: str
    variation: str = ""  # what was asked for differently than for the asset it is shown with
    _rendered: dict[Any, Markup] = field(default_factory=dict, init=False, repr=False)

    @property
    def label(self) -> str:
        return f"{self.prompt or 'no prompt'} ({self.model})"

    def __getitem__(self, name: str) -> Any:
        """Templates look here first: refusing them would cost more than all else of the look-up."""
        return getattr(self, name)

    def rendered(self, macro: Callable[..., Markup], *arguments: Any) -> Markup:
        """What a template makes of it, once for as long as it is kept."""
        known = self._rendered.get((macro, *arguments))
        if known is None:
            known = self._rendered[macro, *arguments] = macro(self, *arguments)
        return known

    # --- What few lists show ---

    @property
    def job(self) -> str:
        return short_id(self.asset.job_id)

    @property
    def job_url(self) -> str:
        return page_url("job", self.asset.job_id)

    @property
    def index(self) -> int:
        return self.asset.asset_index

    @property
    def seed(self) -> int:
        return self.asset.generation_seed

    @property
    def size(self) -> str:
        return size_text(self.asset.file_size_bytes)

    @property
    def dimensions(self) -> str:
        return dimensions_text(self.asset.width, self.asset.height)

    @property
    def created_at(self) -> str:
        return instant_text(self.asset.created_at)


def prompt_text(start: str) -> str:
    """The beginning of a prompt, from which a longer one can be told."""
    return start if len(start) <= PROMPT_START else f"{start[:PROMPT_START]}…"


_ANNOTATIONS = {
    "prompt_start": Left("original_prompt", PROMPT_START + 1),
    "content_mode": KT("generation_settings__content_mode"),
    "owner_name": owner_name(),
}


def for_cards(assets: QuerySet[WorkspaceAsset]) -> QuerySet[WorkspaceAsset]:
    """Only what a card shows, as named tuples: prompts and settings may be long, and models take their time.

    With the owner's name, by one statement.
    """
    return _of_all().all() if not assets.query.where else _with_columns(assets)


@cache
def _of_all() -> QuerySet[WorkspaceAsset]:
    """Made once: it takes a third of the time that the database needs for a page."""
    return _with_columns(WorkspaceAsset.objects.all())


def _with_columns(assets: QuerySet[WorkspaceAsset]) -> QuerySet[WorkspaceAsset]:
    return assets.annotate(**_ANNOTATIONS).values_list(*_COLUMNS, *_ANNOTATIONS, named=True)


def cards(
    assets: Iterable[WorkspaceAsset],
    now: datetime,
    query: str = "",
    found: Mapping[UUID, Review] | None = None,
) -> list[Card]:
    """Cards of assets from `for_cards`; their links carry the gallery's query string along.

    Their verdicts are looked up where they are not known yet.
    """
    assets = list(assets)
    found = verdicts(asset.pk for asset in assets) if found is None else found
    suffix = f"?{query}" if query else ""
    return [
        (_kept_card if _is_short(asset, suffix) else _card)(
            asset,
            suffix,
            expiry(asset.expires_at, now),
            since_text(asset.created_at, now),
            _verdict(found.get(asset.pk)),
        )
        for asset in assets
    ]


def _is_short(asset: Any, suffix: str) -> bool:
    """Whether a card may be kept, of which many are; texts of others may have any length, as in a URL."""
    texts = f"{suffix}{asset.asset_type}{asset.model_used}{asset.content_mode}{asset.owner_name}"
    return len(texts) <= MOST_KEPT


def _verdict(review: Review | None) -> tuple[str, str]:
    return (review.verdict, review.summary) if review else ("", "")


def _card(asset: Any, suffix: str, expires: Expiry, created: str, verdict: tuple[str, str]) -> Card:
    pk, user_id = str(asset.pk), str(asset.user_id)
    is_video = asset.asset_type == WorkspaceAsset.Type.VIDEO
    return Card(
        asset=asset,
        id=pk,
        url=page_url("detail", pk) + suffix,
        preview_url=page_url("asset_preview", pk),
        video_url=page_url("asset_file", pk) if is_video else "",
        kind=(length_text(asset.duration_seconds) or "video") if is_video else asset.asset_type,
        model=asset.model_used,
        prompt=prompt_text(asset.prompt_start),
        owner=asset.owner_name or short_id(user_id),
        owner_url=page_url("user", user_id),
        expiry=expires,
        expires_at=asset.expires_at.isoformat() if asset.expires_at else "",
        expires_at_text=instant_text(asset.expires_at),
        created=created,
        is_nsfw=asset.content_mode == "nsfw",
        verdict=verdict[0],
        verdict_text=verdict[1],
    )


# By all that one is made of, so that it never shows what is no longer so.
_kept_card = lru_cache(maxsize=KEPT)(_card)


def for_library_cards(saved: QuerySet[LibraryAsset]) -> QuerySet[LibraryAsset]:
    """With what only the ledger knows: whether the settings say that it is not for every desk."""
    entries = Disposition.objects.filter(asset_id=OuterRef("id"), action=Disposition.Action.PROMOTED)
    # Looked up row by row: the entries of a whole library would be joined, however few rows are shown.
    nsfw = entries.filter(row__generation_settings__content_mode="nsfw").annotate(one=Value(True))
    return saved.defer("original_prompt").annotate(
        prompt_start=Left("original_prompt", PROMPT_START + 1),
        is_nsfw=Coalesce(Subquery(nsfw.values("one")[:1]), False),
        owner_name=owner_name(),
    )


def library_cards(saved: Iterable[LibraryAsset], now: datetime) -> list[Card]:
    saved = list(saved)
    found = verdicts(asset.id for asset in saved)
    return [_library_card(asset, found.get(asset.id), now) for asset in saved]


def _library_card(asset: Any, review: Review | None, now: datetime) -> Card:
    is_video = asset.asset_type == WorkspaceAsset.Type.VIDEO
    created = since_text(asset.created_at, now)
    verdict, verdict_text = _verdict(review)
    return Card(
        asset=asset,
        id=str(asset.id),
        url=page_url("library_detail", asset.id),
        preview_url=page_url("library_preview", asset.id),
        video_url=page_url("library_file", asset.id) if is_video else "",
        kind=(length_text(asset.duration_seconds) or "video") if is_video else asset.asset_type,
        model=asset.model_used,
        prompt=asset.custom_title or prompt_text(asset.prompt_start),
        owner=asset.owner_name or short_id(asset.user_id),
        owner_url=page_url("user", asset.user_id),
        expiry=Expiry(created, "never"),
        expires_at="",
        expires_at_text=instant_text(asset.created_at),
        created=created,
        is_nsfw=asset.is_nsfw,
        verdict=verdict,
        verdict_text=verdict_text,
    )


def dimensions_text(width: int | None, height: int | None) -> str:
    return f"{width} × {height}" if width and height else ""


def short_id(pk: UUID | str) -> str:
    return str(pk)[:8]


def page_url(name: str, pk: UUID | str) -> str:
    """The URL of a page about one row; reversing it for every card would cost more than its query."""
    return _url_around_id(name).replace(_NO_ID, str(pk))


_NO_ID = str(UUID(int=0))


@lru_cache
def _url_around_id(name: str) -> str:
    return reverse(name, args=[_NO_ID])
