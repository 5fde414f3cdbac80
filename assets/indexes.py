"""Which indexes the pages need of the product's tables, and which of them a database has."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex, HashIndex
from django.core.cache import cache
from django.db import connections
from django.db.models import Index, Model

from assets.models import Job, LibraryAsset, Profile, WorkspaceAsset

MODELS = (Profile, Job, WorkspaceAsset, LibraryAsset)
SMALL = 100_000  # rows, which are read as quickly without
KEPT_FOR = 300  # seconds for which pages do not look for an index again

# That of a constraint on tables of ours, which a product's may do without.
_OF_A_JOB = Index(fields=["job", "asset_index"], name="assets_job")
# What each serves, for people who decide whether to make it.
SERVES = {
    "profiles_username_prefix": "suggestions of users",
    "jobs_user_created": "suggestions of jobs",
    "assets_newest": "the gallery as it opens, newest first",
    "assets_job": "a job's assets, by index",
    "assets_user_newest": "a user's assets, newest first",
    "assets_user_type_model_newest": "a user's assets of a type and model; a user's totals",
    "assets_type_newest": "the gallery of one type",
    "assets_type_model_newest": "the gallery of one type and model",
    "assets_model_newest": "the gallery of one model; the models to choose from",
    "assets_expiring": "what expires soon, soonest first; the clean-up; the overview",
    "assets_mime": "the gallery of one MIME type",
    "assets_largest": "the gallery, largest first",
    "assets_file_key": "the removal of files: which assets name one",
    "assets_thumbnail_key": "the removal of files: which assets name a thumbnail",
    "assets_seed": "the gallery of one seed",
    "assets_prompt": "what was made from the same prompt",
    "assets_prompt_words": "words in the prompt",
    "assets_settings": "conditions on settings",
    "assets_ask_for_nothing": "what has the same settings, where those are empty",
    "library_newest": "the library as it opens, newest first",
    "library_user_newest": "what a user has saved",
    "library_type_newest": "the library of one type",
    "library_model_newest": "the library of one model",
    "library_mime_newest": "the library of one MIME type",
    "library_seed": "the library of one seed",
    "library_tags": "the library of one tag",
    "library_largest": "the library, largest first",
    "library_prompt_words": "words in the prompt of what was saved",
    "library_file_key": "the removal of files: which saved assets name one",
    "library_thumbnail_key": "the removal of files: which saved assets name a thumbnail",
}
# What the sorts and filters of lists are without which index.
_SORTED_BY: dict[type[Model], dict[str, tuple[str, str]]] = {
    WorkspaceAsset: {
        "created_at": ("assets_newest", "sorting by the time of creation"),
        "expires_at": ("assets_expiring", "what expires soonest"),
        "file_size_bytes": ("assets_largest", "largest first"),
    },
    LibraryAsset: {
        "created_at": ("library_newest", "sorting by the time of saving"),
        "file_size_bytes": ("library_largest", "largest first"),
    },
}
_FILTERED_BY: dict[type[Model], dict[str, tuple[str, str]]] = {
    WorkspaceAsset: {
        "q": ("assets_prompt_words", "words in the prompt"),
        "setting": ("assets_settings", "conditions on settings"),
        "same_settings": ("assets_settings", "same settings"),
        "mime": ("assets_mime", "MIME types"),
        "same_prompt": ("assets_prompt", "same prompt"),
        "seed": ("assets_seed", "seeds"),
        "expires": ("assets_expiring", "what expires when"),
        "expires_after": ("assets_expiring", "what expires when"),
        "expires_before": ("assets_expiring", "what expires when"),
        "size_min": ("assets_largest", "sizes"),
        "size_max": ("assets_largest", "sizes"),
    },
    LibraryAsset: {
        "q": ("library_prompt_words", "words in the prompt"),
        "mime": ("library_mime_newest", "MIME types"),
        "seed": ("library_seed", "seeds"),
        "tag": ("library_tags", "tags"),
        "size_min": ("library_largest", "sizes"),
        "size_max": ("library_largest", "sizes"),
        "user": ("library_user_newest", "users"),
        "type": ("library_type_newest", "types"),
        "model": ("library_model_newest", "models"),
    },
}
# Filters that one index has together, the most first.
_TOGETHER = (
    ({"user", "type", "model"}, "assets_user_type_model_newest", "a user's types and models"),
    ({"user"}, "assets_user_newest", "users"),
    ({"type", "model"}, "assets_type_model_newest", "types and models"),
    ({"type"}, "assets_type_newest", "types"),
    ({"model"}, "assets_model_newest", "models"),
)
_OWN_ORDER = {"user", "type", "model"}  # a list of one of these has an index in the order of creation


@dataclass(frozen=True)
class Found:
    """An index that is there."""

    name: str
    definition: str
    is_valid: bool


@dataclass(frozen=True)
class Need:
    """An index that pages need, and what is there of it."""

    model: type[Model]
    index: Index
    statement: str
    is_there: bool
    nearly: str  # the name of one that does as well but for ties, or for reading rows as well
    name: str  # which it is given
    in_the_way: bool  # one of that name, which was broken off or is being made

    @property
    def serves(self) -> str:
        return SERVES[self.index.name]

    @property
    def is_missing(self) -> bool:
        return not self.is_there and not self.nearly

    @property
    def remedy(self) -> list[str]:
        concurrently = " CONCURRENTLY" if " CONCURRENTLY " in self.statement else ""
        drop = [f"DROP INDEX{concurrently} {self.name}"] if self.in_the_way else []
        return [*drop, self.statement]


def needs(alias: str = "default", models: Collection[type[Model]] = MODELS) -> Iterator[Need]:
    """Each index of the models; of tables that are there."""
    editor = connections[alias].schema_editor(collect_sql=True)
    for model in models:
        found = indexes_of(model, alias)
        in_use = {gist(each.definition): each.name for each in found if each.is_valid}
        broken = {each.name for each in found if not each.is_valid}
        taken = _names_beside(model, alias) - broken
        concurrently = not is_partitioned(model, alias)
        for index in wanted_of(model):
            wanted = gist(str(index.create_sql(model, editor)))
            there = any(_answers(each, wanted) for each in in_use)
            nearly = "" if there else next((in_use[each] for each in in_use if _nearly(each, wanted)), "")
            name = index.name if there else next(each for each in _names(index) if each not in taken)
            statement = str(_named(index, name).create_sql(model, editor, concurrently=concurrently))
            yield Need(model, index, statement, there, nearly, name, not there and name in broken)


def _names(index: Index) -> Iterator[str]:
    """Those that it may be given, so that whatever of the product's has its name can stay."""
    yield index.name
    yield f"dashboard_{index.name}"
    yield from (f"dashboard_{index.name}_{number}" for number in count(2))


def _names_beside(model: type[Model], alias: str) -> set[str]:
    """Of all in the schema of a table: no two may have the same."""
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace ="
            " (SELECT relnamespace FROM pg_class WHERE oid = to_regclass(%s))",
            [model._meta.db_table],
        )
        return {name for (name,) in cursor.fetchall()}


def _named(index: Index, name: str) -> Index:
    named = index.clone()
    named.name = name
    return named


def wanted_of(model: type[Model]) -> list[Index]:
    return [*model._meta.indexes, *([_OF_A_JOB] if model is WorkspaceAsset else [])]


def is_partitioned(model: type[Model], alias: str = "default") -> bool:
    """Such a table is given no index while it is written to."""
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass(%s)", [model._meta.db_table]
        )
        return cursor.fetchone() == (True,)


def indexes_of(model: type[Model], alias: str = "default") -> list[Found]:
    with connections[alias].cursor() as cursor:
        cursor.execute(
            """
            SELECT relname, pg_get_indexdef(indexrelid), indisvalid AND indisready
            FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE indrelid = to_regclass(%s)
            ORDER BY relname
            """,
            [model._meta.db_table],
        )
        return [Found(*row) for row in cursor.fetchall()]


# --- Comparing -------------------------------------------------------------------


class Gist(NamedTuple):
    """What an index does, without what PostgreSQL writes differently from us."""

    keys: str  # its method and columns
    included: frozenset[str]
    condition: str


def gist(definition: str) -> Gist:
    _, _, on = definition.partition(" ON ")
    _, uses, said = on.partition(" USING ")
    if not uses:
        _, _, columns = on.partition(" ")  # after the table
        said = f"btree {columns}"
    said, _, condition = said.partition(" WHERE ")
    said = re.sub(r" WITH \(.*| NULLS NOT DISTINCT", "", said)  # how it is stored, and what it refuses
    keys, _, included = said.partition(" INCLUDE ")
    return Gist(_bare(keys), frozenset(filter(None, _bare(included).split(","))), _bare(condition))


def _bare(text: str) -> str:
    return re.sub(r'::text(\[\])?|[\s()"]', "", text).lower()


def _answers(there: Gist, wanted: Gist) -> bool:
    """Whether an index is the one that is wanted, or does as well: the other way round, or with more."""
    columns = {*there.included, *re.sub(r"desc\b", "", there.keys.removeprefix("btree")).split(",")}
    if there.condition != wanted.condition or not wanted.included <= columns:
        return False
    if not _is_plain(wanted.keys):
        return there.keys == wanted.keys
    return any(f"{there.keys},".startswith(f"{way},") for way in _ways(wanted.keys))


def _nearly(there: Gist, wanted: Gist) -> bool:
    """Whether all is there but what spares reading the rows, or the key that sorts those equal otherwise."""
    shorter = re.sub(r",id(desc)?$", "", wanted.keys)
    ways = _ways(shorter) if shorter != wanted.keys else []
    is_shorter = there.condition == wanted.condition and there.keys in ways
    return is_shorter or _answers(there, wanted._replace(included=frozenset()))


def _ways(keys: str) -> list[str]:
    """In both directions."""
    turned = [
        column.removesuffix("desc") if column.endswith("desc") else f"{column}desc"
        for column in keys.removeprefix("btree").split(",")
    ]
    return [keys, "btree" + ",".join(turned)]


def _is_plain(keys: str) -> bool:
    """Whether both directions can be told from the columns."""
    return bool(re.fullmatch(r"btree[a-z_,]+", keys))


# --- Sizes -----------------------------------------------------------------------

_WIDTHS = {"UUIDField": 16, "DateTimeField": 8, "BigIntegerField": 8}  # bytes; text as short as names are
_SHORT, _PER_ENTRY, _FILLED = 8, 12, 0.9
_HASH, _INVERTED = 27, {"original_prompt": 40, "generation_settings": 19}  # as measured, bytes a row


def rows_of(model: type[Model], alias: str = "default") -> int | None:
    """As of when the table was last analysed, if it was."""
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT reltuples FROM pg_class WHERE oid = to_regclass(%s)", [model._meta.db_table])
        found = cursor.fetchone()
    return int(found[0]) if found and found[0] >= 0 else None


def bytes_per_row(model: type[Model], index: Index) -> int:
    """About as many as an index takes."""
    if isinstance(index, HashIndex):
        return _HASH
    names = [name.lstrip("-") for name in index.fields]
    if isinstance(index, GinIndex):
        return _INVERTED.get(next(iter(names), "original_prompt"), _INVERTED["generation_settings"])
    kinds = [model._meta.get_field(name) for name in [*names, *index.include]]
    widths = [
        _WIDTHS.get((kind.target_field if kind.is_relation else kind).get_internal_type(), _SHORT)
        for kind in kinds
    ]
    return round((_PER_ENTRY + sum(widths or [_SHORT])) / _FILLED)


# --- Telling on pages ------------------------------------------------------------


def lacking(model: type[Model], column: str, filters: Collection[str]) -> list[str]:
    """What of a list, by its sort and filters, no index answers in a product's own database."""
    if settings.UPSTREAM_TABLES == "own":
        return []
    missing = cache.get_or_set(f"missing-indexes-{model._meta.db_table}", lambda: _missing(model), KEPT_FOR)
    return list(dict.fromkeys(what for name, what in _wanted(model, column, filters) if name in missing))


def _wanted(model: type[Model], column: str, filters: Collection[str]) -> Iterator[tuple[str, str]]:
    if "job" in filters:
        yield _OF_A_JOB.name, "jobs"
        return
    known = _FILTERED_BY[model]
    yield from (known[name] for name in known if name in filters)
    if model is WorkspaceAsset:
        yield from [(name, what) for names, name, what in _TOGETHER if names <= set(filters)][:1]
    if column != "created_at" or not _OWN_ORDER & set(filters):
        yield _SORTED_BY[model][column]


def is_small(model: type[Model] = WorkspaceAsset) -> bool:
    """Whether all rows are read as quickly without any index."""
    return (rows_of(model, model._default_manager.db) or 0) < SMALL


def _missing(model: type[Model]) -> set[str]:
    if is_small(model):
        return set()
    return {need.index.name for need in needs(models=[model]) if need.is_missing}
