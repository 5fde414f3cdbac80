"""Which rows and ledger entries name a file, so that none is removed that somebody still means."""

from collections.abc import Collection

from django.db import transaction
from django.db.models import F, QuerySet, TextField
from django.db.models.functions import Cast

from assets.models import Disposition, LibraryAsset, WorkspaceAsset
from assets.models.ledger import RowText
from assets.models.upstream import StoreKey
from assets.storage import LIBRARY, PathFault, Store, key_of

# Which columns name files of which store.
_COLUMNS = {
    "workspace": (WorkspaceAsset, ("temp_storage_path", "thumbnail_path")),
    "library": (LibraryAsset, ("storage_path", "thumbnail_path")),
}
ROWS_AT_ONCE = 2_000


def named_keys(store: Store, keys: Collection[str], *, besides: Collection[int] = ()) -> set[str]:
    """The keys, of these, that a live row still names, or a ledger entry that is to remove the file itself.

    One statement, so that an asset that leaves or returns meanwhile is seen in one place or the other.
    `besides` are ids of ledger entries that do not count.
    """
    if not keys:
        return set()
    model, columns = _COLUMNS[store.alias]
    queries = [_naming(model.objects.all(), F(column), store, keys) for column in columns]
    if store is not LIBRARY:
        held = Disposition.objects.held().exclude(id__in=besides)
        queries += [_naming(held, RowText(column), store, keys) for column in columns]
    rows = queries[0].union(*queries[1:], all=True)
    found: set[str] = set()
    # Of addresses that only Python can read there is no end: a few at a time, and no more than it takes.
    # Outside a transaction the database would gather all of them first.
    with transaction.atomic(savepoint=False):
        for path in rows.iterator(chunk_size=ROWS_AT_ONCE):
            if (key := _key(path, store)) in keys:
                found.add(key)
                if len(found) == len(set(keys)):
                    break
    return found


def _naming(rows: QuerySet, path: F | RowText, store: Store, keys: Collection[str]) -> QuerySet:
    wanted = [*keys, StoreKey.JUDGED_BY_PYTHON]
    named = rows.annotate(store_key=StoreKey(path, bucket=store.bucket)).filter(store_key__in=wanted)
    return named.order_by().annotate(path=Cast(path, TextField())).values_list("path", flat=True)


def _key(path: str, store: Store) -> str | None:
    try:
        return key_of(path, store.bucket)
    except PathFault:
        return None
