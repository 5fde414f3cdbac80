"""What people write when they save, start and select."""

from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import BigIntegerField
from django.http import QueryDict

from assets.filters import AssetFilterSet
from assets.models import Operation, SavedView, Verdict
from assets.saving import Labels

MOST_TAGS = 20
MOST_TICKED = 20_000


class TagsField(forms.CharField):
    """Divided by commas; each once, in the order written."""

    def clean(self, value: Any) -> list[str]:
        tags = list(dict.fromkeys(filter(None, (tag.strip() for tag in super().clean(value).split(",")))))
        if len(tags) > MOST_TAGS:
            raise ValidationError(f"At most {MOST_TAGS} tags.")
        if any(len(tag) > 50 for tag in tags):
            raise ValidationError("A tag has at most 50 characters.")
        return tags


class LabelsForm(forms.Form):
    title = forms.CharField(label="Title", max_length=200, required=False)
    tags = TagsField(label="Tags", max_length=1_100, required=False)
    collection = forms.UUIDField(
        label="Collection", required=False, error_messages={"invalid": "Write the UUID of a collection."}
    )

    def labels(self) -> Labels:
        data = self.cleaned_data
        return Labels(data["title"] or None, data["tags"], data["collection"])

    def options(self) -> dict[str, Any]:
        """The labels as JSON, for an operation to keep."""
        labels = self.labels()
        collection = labels.collection_id and str(labels.collection_id)
        return labels._replace(collection_id=collection)._asdict()  # type: ignore[arg-type]


class FlagsForm(forms.Form):
    """Up to which review's id somebody knows of flags, and saves all the same."""

    despite_flags = forms.IntegerField(
        label="Flags", required=False, min_value=0, max_value=BigIntegerField.MAX_BIGINT
    )

    def clean_despite_flags(self) -> int:
        return self.cleaned_data["despite_flags"] or 0


class SaveForm(FlagsForm, LabelsForm):
    pass


class StartForm(FlagsForm, LabelsForm):
    confirm = forms.IntegerField(
        required=False, min_value=0, error_messages={"invalid": "Type the number of assets."}
    )

    def options(self) -> dict[str, Any]:
        return super().options() | {"despite_flags": self.cleaned_data["despite_flags"]}


class TickedField(forms.Field):
    """The UUIDs that were ticked; one that is not a UUID refuses them all."""

    widget = forms.SelectMultiple

    def clean(self, value: list[str] | None) -> list[UUID]:
        if value and len(value) > MOST_TICKED:
            raise ValidationError(f"At most {MOST_TICKED:,} ticked assets: filter, and select all.")
        try:
            return [UUID(text) for text in value or ()]
        except ValueError:
            raise ValidationError("The selection has something that is not the UUID of an asset.") from None


class SelectionForm(forms.Form):
    """Which assets: ticked ones, or all that a filter selects."""

    ids = TickedField(required=False)
    select = forms.ChoiceField(
        choices=[("", "ticked"), ("all", "all that match")],
        required=False,
        error_messages={"invalid_choice": "“select” is all, or left out."},
    )
    filter = forms.CharField(required=False, max_length=10_000, strip=False)

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        if data.get("select") == "all" and "filter" not in self.data:
            # Without it everything would be meant, by whoever only forgot it.
            self.add_error("filter", "“select=all” needs the filter that is meant, though it be empty.")
        return data

    def messages(self) -> list[str]:
        return [message for messages in self.errors.values() for message in messages]


class OperationForm(SelectionForm):
    """What is to be done to assets: ticked ones, all that a filter selects, or those of a job."""

    action = forms.ChoiceField(choices=Operation.Action.choices)
    job = forms.UUIDField(required=False)

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        if data.get("action") == Operation.Action.KEEP and not data.get("job"):
            self.add_error("job", "Keeping some of a job needs the job.")
        if data.get("action") == Operation.Action.KEEP and data.get("select"):
            # The rest would go, of which somebody said that all are meant.
            self.add_error("select", "What is kept of a job is ticked: “select=all” leaves no rest.")
        return data


class ViewForm(forms.Form):
    """A name for a filter, and whether everybody sees it."""

    name = forms.CharField(
        max_length=SavedView._meta.get_field("name").max_length,
        error_messages={"required": "Write a name for the view."},
    )
    shared = forms.BooleanField(required=False)

    def messages(self) -> list[str]:
        return [message for messages in self.errors.values() for message in messages]


class NewViewForm(ViewForm):
    filter = forms.CharField(required=False, max_length=10_000, strip=False)
    replace = forms.BooleanField(required=False)

    def clean_filter(self) -> str:
        """The query string of what the gallery understands, without a cursor."""
        filterset = AssetFilterSet(QueryDict(self.cleaned_data["filter"]))
        if not filterset.is_valid():
            reasons = [message for messages in filterset.errors.values() for message in messages]
            raise ValidationError(["This filter is not understood, so it is not saved.", *reasons])
        return filterset.query()


class NoteField(forms.CharField):
    """Line ends count as one character each, as the page counts them."""

    def to_python(self, value: Any) -> str:
        return super().to_python(value).replace("\r\n", "\n")


class ReviewForm(forms.Form):
    verdict = forms.ChoiceField(
        choices=Verdict.choices,
        error_messages={
            "required": "Say which verdict: approved, flagged or withdrawn.",
            "invalid_choice": "A verdict is approved, flagged or withdrawn.",
        },
    )
    note = NoteField(
        max_length=2_000,
        required=False,
        error_messages={"max_length": "A note has at most 2,000 characters."},
    )

    def messages(self) -> list[str]:
        return [message for messages in self.errors.values() for message in messages]


class ReviewTickedForm(ReviewForm):
    ids = TickedField(required=False)
    select = forms.CharField(required=False)

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        if data.get("select"):
            # Nobody has looked at all that a filter selects.
            self.add_error("select", "Verdicts are given to ticked assets, and not to all that match.")
        elif not data.get("ids") and "ids" not in self.errors:
            self.add_error("ids", "No asset is selected.")
        return data
