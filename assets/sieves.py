"""How lists of assets find what they are filtered by: in the order of an index, or by a sieve."""

from collections.abc import Callable, Iterable
from functools import reduce
from operator import and_
from typing import Any, NamedTuple

from django.db.models import OuterRef, Q, QuerySet, Subquery, TextField, Value
from django.db.models.functions import Coalesce
from django.db.models.lookups import Exact

from assets.fields import Owner
from assets.known_settings import MayHave
from assets.likeness import Prompt, Request
from assets.models import Review
from assets.models.prompts import has_letters_of, has_words
from assets.models.upstream import is_among
from assets.pagination import Order, Sieve
from assets.setting_conditions import SettingCondition
from assets.windows import FEW, estimate


class Selection(NamedTuple):
    """Rows as lists walk them: those an index answers in their order, and what they are sifted by."""

    ordered: QuerySet
    sieve: Sieve


def names_in_order(order: Order, names: set[str]) -> set[str]:
    """Those of some filters that one index answers in this order; of a job all, whose assets are few."""
    if "job" in names:
        return names
    if order.column == "expires_at":
        return names & _EXPIRY
    if order.column == "file_size_bytes":
        return names & _SIZES
    of_user_alone = "user" in names and not {"type", "model"} <= names
    return names & ({"user"} if of_user_alone else {"user", "type", "model"}) | names & _TIMES


_TIMES = {"created_after", "created_before"}
_EXPIRY = {"expires", "expires_after", "expires_before"}
_SIZES = {"size_min", "size_max"}


def are_countable(names: set[str]) -> bool:
    """Whether an index alone counts what some filters leave, up to a cap."""
    by_index = ({"user", "type", "model", *_TIMES}, _EXPIRY, _SIZES)
    return "job" in names or any(names <= answered for answered in by_index)


# --- What no index answers in order ---------------------------------------------


def owner_sieve(owner: Owner) -> Sieve:
    return Sieve.of(Q(user_id=owner.id))


def words_sieve(words: str) -> Sieve:
    return Sieve(cheap=has_letters_of(words) & has_words(words), indexed=has_words(words))


def settings_sieve(conditions: Iterable[SettingCondition]) -> Sieve:
    return reduce(and_, map(_setting_sieve, conditions), Sieve())


def _setting_sieve(condition: SettingCondition) -> Sieve:
    exact = condition.as_q()
    if condition.operator == "=":
        return Sieve.of(exact)
    # Of a range, or of what is there, an index knows no more than the values that are known. Where those
    # are many, to estimate takes long, and the first rows soon fill a page.
    known = MayHave(condition)
    return Sieve(cheap=exact, indexed=Q(known) & exact, can_be_estimated=known.are_few)


def likeness_sieve(example: Prompt | Request) -> Sieve:
    return Sieve.of(example.as_q())


def verdict_sieve(verdict: str, asset_id: str = "id") -> Sieve:
    """By the verdict of each asset; or by every asset, here or gone, that has the verdict."""
    has_verdict = Q(Exact(verdict_of_asset(asset_id), Value(verdict)))
    if verdict == "none":
        return Sieve.of(has_verdict)
    every = Review.objects.standing().filter(verdict=verdict).values("asset_id")
    return Sieve(cheap=has_verdict, indexed=is_among(asset_id, every))


def have_few(verdict: str) -> bool:
    """Whether few assets, here or gone, have a verdict."""
    return estimate(Review.objects.all(), Q(verdict=verdict)).rows <= FEW


def verdict_of_asset(asset_id: str = "id") -> Coalesce:
    """Looked up row by row, which is much for many rows."""
    own = Review.objects.standing().filter(asset_id=OuterRef(asset_id)).values("verdict")[:1]
    return Coalesce(Subquery(own), Value("none"), output_field=TextField())


SIEVES: dict[str, Callable[[Any], Sieve]] = {
    "user": owner_sieve,
    "q": words_sieve,
    "setting": settings_sieve,
    "same_prompt": likeness_sieve,
    "same_settings": likeness_sieve,
    "verdict": verdict_sieve,
}
