"""Suggestions for the filters by user and by job, as people type."""

import re
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest, JsonResponse, QueryDict
from django.views.decorators.http import require_safe

from assets.access import viewers_only
from assets.fields import OwnerField
from assets.filters import AssetFilterSet
from assets.models import Job, Profile, WorkspaceAsset
from assets.replica import reads_from_replica
from assets.setting_conditions import ConditionError, SettingCondition
from assets.setting_values import NEWEST, Key, occurring
from assets.views.cards import short_id

MOST = 10
MOST_VALUES = 30
RECENT = 300  # of the newest assets, whose owners and jobs are offered first


@require_safe
@viewers_only
@reads_from_replica
def users(request: HttpRequest) -> JsonResponse:
    typed = _typed(request)
    found = Profile.objects.filter(username__isnull=False)
    if typed:
        found = found.filter(username__istartswith=typed)
    else:
        found = found.filter(id__in=_recent(WorkspaceAsset.objects.all(), "user_id"))
    names = found.order_by("username").values_list("username", flat=True)[:MOST]
    return _answer([{"value": name, "label": name, "note": ""} for name in names])


@require_safe
@viewers_only
@reads_from_replica
def jobs(request: HttpRequest) -> JsonResponse:
    typed = _typed(request)
    if re.fullmatch(r"[0-9a-f]{8}[0-9a-f-]{0,28}", typed.lower()):
        found = Job.objects.filter(id__range=_id_range(typed)).order_by("id")
    else:
        found = Job.objects.filter(id__in=_recent(_assets_of(request.GET.get("user", "")), "job_id"))
        found = found.order_by("-created_at")  # of a few hundred at most
        if typed:
            found = found.filter(Q(original_prompt__icontains=typed) | Q(template_name__icontains=typed))
    rows = found.annotate(prompt_start=Left("original_prompt", 80)).values_list(
        "id", "prompt_start", "template_name"
    )[:MOST]
    return _answer(
        [{"value": str(pk), "label": short_id(pk), "note": prompt or name or ""} for pk, prompt, name in rows]
    )


@require_safe
@viewers_only
@reads_from_replica
def settings(request: HttpRequest) -> JsonResponse:
    """Keys as they are typed, then after `=` or `!=` the values, of the rest of the filter's selection."""
    match = _CONDITION.fullmatch(request.GET.get("q", "").replace("\0", "").strip()[:500])
    selection = AssetFilterSet(QueryDict(request.GET.get("filter", "")))
    if match and not match["operator"]:
        return _answer(_keys_like(match["path"], selection))
    if match and match["operator"] in {"=", "!="}:
        return _answer(_values_like(match["path"], match["operator"], match["value"].strip(), selection))
    return _answer([])


_CONDITION = re.compile(
    r"""(?P<path>(?:"(?:[^"\\]|\\.)*"?|[^"=!<>])*)(?P<operator>>=|<=|!=|=|>|<)?(?P<value>.*)""", re.DOTALL
)


def _keys_like(typed: str, selection: AssetFilterSet) -> list[dict[str, str]]:
    found = occurring(selection, values=1).keys
    near = [key for key in found if key.condition and typed.casefold() in key.text.casefold()]
    near.sort(key=lambda key: not key.text.casefold().startswith(typed.casefold()))
    return [_key(key) for key in near[:MOST]]


def _key(key: Key) -> dict[str, str]:
    note = f"{key.different:,} values" if key.different > 1 else "1 value"
    if not key.values:
        return {"value": key.text, "label": key.text, "note": "lists or objects"}
    return {"value": f"{key.text}=", "label": key.text, "note": note, "more": "values"}


def _values_like(path: str, operator: str, typed: str, selection: AssetFilterSet) -> list[dict[str, str]]:
    try:
        keys = SettingCondition.parse(path).keys
    except ConditionError:
        return []
    found = occurring(selection, values=MOST_VALUES, path=keys)
    of = f" of the newest {NEWEST:,}" if found.is_part else ""
    return [
        {
            "value": f"{key.text}{operator}{value.condition.removeprefix(f'{key.text}=')}",
            "label": value.text[:60] or "“”",
            "note": f"{value.number:,}{of}",
        }
        for key in found.keys
        for value in key.values
        if value.condition and typed.strip('"').casefold() in value.text.casefold()
    ]


def _typed(request: HttpRequest) -> str:
    return request.GET.get("q", "").replace("\0", "").strip()[:100]


def _recent(assets: QuerySet[WorkspaceAsset], column: str) -> set[UUID]:
    dated = assets.filter(created_at__isnull=False)  # those without a time would come first
    return set(dated.order_by("-created_at", "-id").values_list(column, flat=True)[:RECENT])


def _assets_of(user: str) -> QuerySet[WorkspaceAsset]:
    try:
        owner = OwnerField(required=False).clean(user)
    except ValidationError:
        return WorkspaceAsset.objects.none()
    return WorkspaceAsset.objects.for_user(owner.id) if owner else WorkspaceAsset.objects.all()


def _id_range(start: str) -> tuple[UUID, UUID]:
    """The first and the last UUID that begin with some hexadecimal digits."""
    digits = start.replace("-", "")[:32]
    return UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))


def _answer(suggestions: list[dict[str, str]]) -> JsonResponse:
    return JsonResponse({"suggestions": suggestions})
