"""The fields of filters: what a person may write in each, and what they are told where it makes no sense."""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple
from uuid import UUID

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models import BigIntegerField

from assets.likeness import Prompt, Request, prompt_of, request_of
from assets.models import Profile, WorkspaceAsset
from assets.setting_conditions import ConditionError, SettingCondition


class Owner(NamedTuple):
    id: UUID
    username: str | None  # None where the profile is gone, or has no name


class OwnerField(forms.CharField):
    """A user by UUID or by name. A UUID need not have a profile: assets outlive them."""

    def clean(self, value: Any) -> Owner | None:
        text = super().clean(value)
        if not text:
            return None
        uuid = _uuid(text)
        condition = {"id": uuid} if uuid else {"username": text}
        found = Profile.objects.filter(**condition).values_list("id", "username").first()
        if found is None and uuid is None:
            raise ValidationError(f"There is no user named “{text}”.")
        return Owner(*found) if found else Owner(uuid, None)


class Actor(NamedTuple):
    id: int | None  # None for the clean-ups, and for other programs


class ActorField(forms.CharField):
    """Who did it, by the name they log in with; "system" is nobody."""

    SYSTEM = "system"

    def clean(self, value: Any) -> Actor | None:
        text = super().clean(value)
        if not text:
            return None
        if text == self.SYSTEM:
            return Actor(None)
        found = User.objects.filter(username=text).values_list("pk", flat=True).first()
        if found is None:
            raise ValidationError(f"Nobody logs in as “{text}”.")
        return Actor(found)


class WordsField(forms.CharField):
    def validate(self, value: str) -> None:
        super().validate(value)
        if value and not re.search(r"\w", value):
            raise ValidationError("Write at least one word.")


class TypeField(forms.CharField):
    """A type of the product's; it may have more of them than we know."""

    def run_validators(self, value: str) -> None:
        super().run_validators(value)  # first, since no query can hold a NUL
        known = not value or value in WorkspaceAsset.Type.values
        if not known and not WorkspaceAsset.objects.filter(asset_type=value).exists():
            raise ValidationError(
                f"“{value}” is not a type of asset: choose {either(WorkspaceAsset.Type.values)}."
            )


class MimeField(forms.CharField):
    def validate(self, value: str) -> None:
        super().validate(value)
        if value and not re.fullmatch(r"[\w.+-]+/[\w.+-]+", value):
            raise ValidationError("Write a type such as image/png.")


class SizeField(forms.CharField):
    """Bytes, with or without a decimal unit: 500000, 500 kB, 1.5 MB."""

    UNITS = {"": 1, "b": 1, "k": 10**3, "kb": 10**3, "m": 10**6, "mb": 10**6, "g": 10**9, "gb": 10**9}

    def clean(self, value: Any) -> int | None:
        text = super().clean(value)
        if not text:
            return None
        match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,9})?)\s*([a-z]{0,2})", text.lower(), re.ASCII)
        if not match or match[2] not in self.UNITS:
            raise ValidationError("Write a size such as 500000, 500 kB or 1.5 MB.")
        return min(int(float(match[1]) * self.UNITS[match[2]]), BigIntegerField.MAX_BIGINT)


class ConditionsField(forms.Field):
    """Any number of conditions on settings; all must hold."""

    MOST = 20

    class widget(forms.SelectMultiple):  # noqa: N801 (the name that forms.Field looks for)
        allow_multiple_selected = True

    def clean(self, value: list[str] | None) -> list[SettingCondition]:
        texts = [text for text in value or () if text.strip()]
        if len(texts) > self.MOST:
            raise ValidationError(f"At most {self.MOST} conditions on settings.")
        try:
            return [SettingCondition.parse(text) for text in texts]
        except ConditionError as error:
            raise ValidationError(str(error)) from None


class LikenessField(forms.UUIDField):
    """An asset to be like, in the workspace or gone from it."""

    default_error_messages = {"invalid": "Write the UUID of an asset."}


class SamePromptField(LikenessField):
    def clean(self, value: Any) -> Prompt | None:
        asset_id = super().clean(value)
        found = prompt_of(asset_id) if asset_id else None
        if asset_id and found is None:
            raise ValidationError("No asset of this UUID is known, neither here nor in library or ledger.")
        return found


class SameSettingsField(LikenessField):
    def clean(self, value: Any) -> Request | None:
        asset_id = super().clean(value)
        found = request_of(asset_id) if asset_id else None
        if asset_id and found is None:
            raise ValidationError("Of this asset no settings are known, neither here nor in the ledger.")
        if found and found.is_too_large:
            raise ValidationError("The settings of this asset are too large to look for others like them.")
        return found


class StrictForm(forms.Form):
    """Knows every parameter that it is given: one that is misspelt must not select everything."""

    PAGING = frozenset({"after", "before"})
    REPEATABLE = frozenset({"setting"})

    def clean(self) -> dict[str, Any]:
        for name, values in self.data.lists():
            if name not in self.fields and name not in self.PAGING:
                self.add_error(None, f"There is no filter named “{name[:60]}”.")
            elif len(values) > 1 and name not in self.REPEATABLE:
                self.add_error(
                    name if name in self.fields else None, f"“{name}” is given {len(values)} times."
                )
        self._check_bounds("size_min", "size_max", "The smallest size is above the largest.")
        for name in ("created", "expires", "disposed"):
            self._check_bounds(
                f"{name}_after", f"{name}_before", "These two times leave nothing between them."
            )
        return self.cleaned_data

    def _check_bounds(self, low: str, high: str, message: str) -> None:
        bounds = self.cleaned_data.get(low), self.cleaned_data.get(high)
        if None not in bounds and bounds[0] > bounds[1]:
            self.add_error(high, message)


def either(values: Iterable[str]) -> str:
    *most, last = values
    return f"{', '.join(most)} or {last}"


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
