"""The kinds of filters that lists have."""

from collections.abc import Mapping
from copy import copy
from functools import cache
from typing import Any, Self

import django_filters as filters
from django import forms
from django.db.models import BigIntegerField
from django.http import QueryDict

from assets.fields import (
    ActorField,
    ConditionsField,
    MimeField,
    OwnerField,
    SamePromptField,
    SameSettingsField,
    SizeField,
    TypeField,
    WordsField,
    either,
)
from assets.pagination import Order

_TIME_MESSAGES = {"invalid": "Write a day such as 2026-11-20 or a time such as 2026-11-20T10:30."}


class OwnerFilter(filters.Filter):
    field_class = OwnerField


class ActorFilter(filters.Filter):
    field_class = ActorField


class TypeFilter(filters.Filter):
    field_class = TypeField


class WordsFilter(filters.Filter):
    field_class = WordsField


class IntegerFilter(filters.Filter):
    field_class = forms.IntegerField


class MimeFilter(filters.Filter):
    field_class = MimeField


class DateTimeFilter(filters.Filter):
    field_class = forms.DateTimeField


class SizeFilter(filters.Filter):
    field_class = SizeField


class ConditionsFilter(filters.Filter):
    field_class = ConditionsField


class SamePromptFilter(filters.Filter):
    field_class = SamePromptField


class SameSettingsFilter(filters.Filter):
    field_class = SameSettingsField


def one_of(label: str, choices: Mapping[str, str], method: str) -> filters.ChoiceFilter:
    message = f"“%(value)s” is not known here: choose {either(choices)}."
    return filters.ChoiceFilter(
        label=label,
        choices=list(choices.items()),
        empty_label="any",
        method=method,
        error_messages={"invalid_choice": message},
    )


def seed_filter() -> IntegerFilter:
    return IntegerFilter(
        label="Seed",
        field_name="generation_seed",
        min_value=-BigIntegerField.MAX_BIGINT - 1,
        max_value=BigIntegerField.MAX_BIGINT,
        error_messages={"invalid": "Write a whole number."},
    )


def since(label: str, column: str) -> DateTimeFilter:
    return DateTimeFilter(label=label, field_name=column, lookup_expr="gte", error_messages=_TIME_MESSAGES)


def until(label: str, column: str) -> DateTimeFilter:
    return DateTimeFilter(label=label, field_name=column, lookup_expr="lt", error_messages=_TIME_MESSAGES)


def sort_by(sorts: Mapping[str, tuple[str, Order]]) -> filters.ChoiceFilter:
    return one_of("Sort", {name: label for name, (label, _) in sorts.items()}, "leave")


# --- Sets of them ---------------------------------------------------------------


class _Filters(dict[str, filters.Filter]):
    """Each request binds its own, made of the same parts."""

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, filters.Filter]:
        return {name: _unbound(known) for name, known in self.items()}


def _unbound(known: filters.Filter) -> filters.Filter:
    own = copy(known)
    own.method = known.method  # to be looked up where this one is bound to
    return own


class _Fields(dict[str, forms.Field]):
    """No request changes them."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


class QuickFilterSet(filters.FilterSet):
    """Makes once what is the same for every request, and copies only what is not."""

    @classmethod
    def get_filters(cls) -> dict[str, filters.Filter]:
        return _Filters(super().get_filters())

    def get_form_class(self) -> type[forms.Form]:
        return _form_class(type(self))


@cache
def _form_class(filterset: type[QuickFilterSet]) -> type[forms.Form]:
    made = filters.FilterSet.get_form_class(filterset(QueryDict()))
    made.base_fields = _Fields(made.base_fields)
    return made
