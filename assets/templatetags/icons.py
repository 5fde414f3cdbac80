"""The tags of heroicons in place of its own, each icon made once: that takes as long as to render a card."""

from functools import cache

from django import template
from heroicons.templatetags import heroicons

register = template.Library()

for _icon in (heroicons.heroicon_micro, heroicons.heroicon_mini, heroicons.heroicon_outline):
    register.simple_tag(cache(_icon))
