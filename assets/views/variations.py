"""What was asked for differently than for another asset, said under the picture."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from uuid import UUID

from django.db.models.functions import MD5

from assets.comparison import caption, difference, readable
from assets.models import WorkspaceAsset
from assets.views.cards import Card

MOST_SETTINGS = 1_000_000  # bytes of all of a page, an even part for each


def with_variations(cards: Sequence[Card], base_id: str, *, base_says: str) -> list[Card]:
    """The cards with what was asked for differently than for the base."""
    ids = {UUID(base_id), *(UUID(card.id) for card in cards)}
    rows = _readable(ids)
    base = rows.pop(base_id, None)
    if base is None or not rows:
        return list(cards)
    said = {pk: difference(base, row, say=caption) for pk, row in rows.items()}
    said[base_id] = base_says
    return [replace(card, variation=said.get(card.id, "")) for card in cards]


def _readable(asset_ids: Collection[UUID]) -> dict[str, WorkspaceAsset]:
    """By a query whose answer is small, however long prompts and settings are."""
    rows = WorkspaceAsset.objects.filter(id__in=asset_ids).defer("original_prompt")
    digested = rows.annotate(prompt_digest=MD5("original_prompt"))
    most = MOST_SETTINGS // max(len(asset_ids), 1)
    found = {str(row.id): row for row in readable(digested, most_settings=most)}
    for row in found.values():
        row.original_prompt = row.prompt_digest  # that it differs is all that is said of it
    return found
