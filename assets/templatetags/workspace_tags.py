from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django import template
from django.template import engines
from django.utils import timezone
from markupsafe import Markup

from assets.humanize import instant_text, since_text, size_text

register = template.Library()

register.filter("size_text", size_text)


@register.filter
def instant(value: datetime | None) -> str:
    return instant_text(value)


@register.filter
def ago(value: datetime | None) -> str:
    return since_text(value, timezone.now())


@register.filter
def thousands(number: int) -> str:
    return f"{number:,}"


@register.filter
def moment(text: str | None) -> str:
    """The instant that PostgreSQL wrote as text; the text where no calendar has it, such as infinity."""
    if not text:
        return "unknown"
    try:
        return instant_text(datetime.fromisoformat(text))
    except ValueError:
        return text


# --- Lists, by the quicker engine ------------------------------------------------


@register.simple_tag
def grid(cards: Sequence[Any], *, ticks: bool = True) -> Markup:
    return _lists().grid(cards, ticks)


@register.simple_tag
def table(cards: Sequence[Any]) -> Markup:
    return _lists().table(cards)


@register.simple_tag
def facet(title: str, options: Sequence[Any]) -> Markup:
    return _lists().facet(title, options)


def _lists() -> Any:
    """The macros of a template, which escape what they are given."""
    return engines["jinja2"].env.get_template("assets/lists.jinja").module
