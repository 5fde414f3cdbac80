"""What was made alike: by the prompt, or by all that was asked for in the settings, of one asset.

That asset is looked up in the workspace, else in the ledger, else in the library, which keeps no settings.
"""

import json
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import BooleanField, F, Func, Q, QuerySet, TextField
from django.db.models.expressions import Case, RawSQL, Value, When
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Cast, Left

from assets.models import Disposition, LibraryAsset, WorkspaceAsset
from assets.models.upstream import ASKS_FOR_NOTHING
from assets.parameters import NOT_ASKED

MOST_CHARACTERS = 100_000  # of settings: the query of a page repeats them for each of its counts


class Prompt(NamedTuple):
    text: str

    def as_q(self) -> Q:
        return Q(original_prompt=self.text)


class Request(NamedTuple):
    """All that was asked for in settings: the number spelling and the order of keys do not matter.

    Of an object, the seed and what was measured are left aside. An empty one is like those that ask for
    nothing, null is like null alone, and what is no object is like what is equal to it.
    """

    asset_id: UUID
    json: str | None  # as text, since Python need not understand it; None for a null of SQL

    @property
    def is_too_large(self) -> bool:
        return is_too_large(self.json)

    @property
    def asks_for_nothing(self) -> bool:
        """Where Python understands it: otherwise it is looked for without that index."""
        try:
            asked = json.loads(self.json or "null")
        except (ValueError, RecursionError):
            return False
        return isinstance(asked, dict) and asked.keys() <= set(NOT_ASKED)

    def as_q(self) -> Q:
        column = F("generation_settings")
        if self.json in (None, "null"):
            null = Q(generation_settings__isnull=True) | Q(_Infix(column, "=", _json("null")))
            return Q(ASKS_FOR_NOTHING) & null
        if not str(self.json).startswith("{"):
            return Q(ASKS_FOR_NOTHING) & Q(_Infix(column, "=", _json(self.json)))
        is_object = Q(_Infix(Func(column, function="jsonb_typeof"), "=", Value("object")))
        if self.asks_for_nothing:
            return Q(ASKS_FOR_NOTHING) & is_object
        asked = _Infix(_json(self.json), "-", _not_asked())
        same = When(is_object, then=_Infix(_Infix(column, "-", _not_asked()), "=", asked))
        # The first by an index. Of what is neither object nor list, "-" would be an error.
        return Q(_Infix(column, "@>", asked)) & Q(Case(same, default=False))


def is_too_large(settings_text: str | None) -> bool:
    """Whether settings are more than others are looked for by."""
    return len(settings_text or "") > MOST_CHARACTERS


def prompt_of(asset_id: UUID) -> Prompt | None:
    found = (
        _first(WorkspaceAsset.objects.filter(id=asset_id), F("original_prompt"))
        or _first(_entries(asset_id), KeyTextTransform("original_prompt", "row"))
        or _first(LibraryAsset.objects.filter(id=asset_id), F("original_prompt"))
    )
    return Prompt(found[0]) if found and found[0] is not None else None


def request_of(asset_id: UUID) -> Request | None:
    found = _first(WorkspaceAsset.objects.filter(id=asset_id), _as_text("generation_settings")) or _first(
        _entries(asset_id), _as_text(KeyTransform("generation_settings", "row"))
    )
    return Request(asset_id, found[0]) if found else None


def _entries(asset_id: UUID) -> QuerySet[Disposition]:
    return Disposition.objects.of_assets([asset_id]).order_by("-id")


def _first(rows: QuerySet, wanted: Any) -> tuple[str | None] | None:
    return rows.annotate(wanted=wanted).values_list("wanted").first()


def _as_text(settings: Any) -> Cast:
    return Left(Cast(settings, TextField()), MOST_CHARACTERS + 1)


class _Infix(Func):
    template = "(%(expressions)s)"
    output_field = BooleanField()

    def __init__(self, left: Any, operator: str, right: Any) -> None:
        super().__init__(left, right, arg_joiner=f" {operator} ")


def _json(text: str | None) -> RawSQL:
    return RawSQL("%s::jsonb", [text])


def _not_asked() -> RawSQL:
    return RawSQL("%s::text[]", [NOT_ASKED])
