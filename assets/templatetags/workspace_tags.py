from datetime import datetime

from django import template

from assets.humanize import instant_text, size_text

register = template.Library()

register.filter("size_text", size_text)


@register.filter
def instant(value: datetime | None) -> str:
    return instant_text(value)
