from datetime import datetime

from django import template
from django.utils import timezone

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
