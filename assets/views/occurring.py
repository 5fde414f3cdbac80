"""The settings that occur in the gallery's selection, each value a condition to add to its filter."""

from typing import NamedTuple

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from assets.access import viewers_only
from assets.filters import AssetFilterSet
from assets.replica import reads_from_replica
from assets.setting_conditions import ConditionError, SettingCondition
from assets.setting_values import MOST_KEYS, NEWEST, Key, Occurring, occurring
from assets.views.gallery import chips, explain

FEW, MANY = 6, 30  # values of each key; and of one that is asked for


class Row(NamedTuple):
    key: Key
    url: str  # of the assets that have it; empty where no condition says so
    all_url: str  # of its other values; empty where all are shown
    values: list[tuple[str, int, str]]  # text, number of assets, the URL of those


@require_safe
@viewers_only
@reads_from_replica
def setting_values(request: HttpRequest) -> HttpResponse:
    data = request.GET.copy()
    wanted = data.pop("key", [""])[-1]
    filterset = AssetFilterSet(data)
    errors = list(explain(filterset))
    found = Occurring(0, [])
    try:
        path = SettingCondition.parse(wanted).keys if wanted.strip() else None
        found = occurring(filterset, values=MANY if path else FEW, path=path)
    except ConditionError as error:
        errors.append(str(error))
    context = {
        "filterset": filterset,
        "errors": errors,
        "chips": list(chips(filterset)),
        "wanted": wanted,
        "looked_at": found.looked_at,
        "is_part": found.is_part,
        "is_cut": len(found.keys) == MOST_KEYS,
        "newest": NEWEST,
        "rows": [_row(filterset, key) for key in found.keys],
        "gallery_url": f"{reverse('gallery')}?{filterset.query()}",
        "list_url": reverse("setting_values"),
        "all_url": f"{reverse('setting_values')}?{filterset.query()}",
    }
    return render(request, "assets/setting_values.html", context)


def _row(filterset: AssetFilterSet, key: Key) -> Row:
    given = filterset.given.get("setting", [])

    def url(condition: str) -> str:
        query = filterset.query(setting=[*given, condition]) if condition else ""
        return f"{reverse('gallery')}?{query}" if query else ""

    has_more = key.condition and key.different > len(key.values) and len(key.values) == FEW
    all_url = f"{reverse('setting_values')}?{filterset.query(key=key.text)}" if has_more else ""
    values = [(value.text, value.number, url(value.condition)) for value in key.values]
    return Row(key, url(key.condition), all_url, values)
