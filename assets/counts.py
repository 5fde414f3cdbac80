"""Capped counts: their cost does not grow with the table."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.core.exceptions import EmptyResultSet
from django.db.models import QuerySet, TextField, Value
from django.db.models.expressions import RawSQL

from assets.time_limits import rows_within


class Count(NamedTuple):
    """A number of rows, or the least that there are; of none at the least nothing is known."""

    number: int
    capped: bool = False

    def __str__(self) -> str:
        if self.capped and not self.number:
            return "…"
        return f"{self.number:,}{'+' if self.capped else ''}"


class Capped(NamedTuple):
    """Rows to count, up to a cap; where `by` names a text column, for each of some values of it."""

    queryset: QuerySet
    cap: int
    by: str = ""
    values: Sequence[str] = ()


class CountStatement(NamedTuple):
    """Capped counts as one statement, which may be kept and asked again."""

    wanted: Mapping[str, Capped]
    sql: str  # empty where nothing can be found
    params: list[Any]

    @classmethod
    def of(cls, wanted: Mapping[str, Capped]) -> "CountStatement":
        statements, params = [], []
        for key, capped in wanted.items():
            try:
                sql, sql_params = _capped_sql(capped)
            except EmptyResultSet:
                continue
            statements.append(sql)
            params += [key, *sql_params]
        return cls(wanted, " UNION ALL ".join(statements), params)

    def counts(self, *, time_limit: float | None = None) -> dict[str, dict[str, Count]]:
        """Each by its key and the value counted, which is empty without `by`.

        Raises TimeLimitError where it takes more than the limit, in seconds.
        """
        found = {
            key: dict.fromkeys(capped.values if capped.by else [""], Count(0))
            for key, capped in self.wanted.items()
        }
        if self.sql:
            using = next(iter(self.wanted.values())).queryset.db
            for key, value, number in rows_within(using, time_limit, self.sql, self.params):
                cap = self.wanted[key].cap
                found[key][value] = Count(min(number, cap), number > cap)
        return found


def capped_counts(
    wanted: Mapping[str, Capped], *, time_limit: float | None = None
) -> dict[str, dict[str, Count]]:
    return CountStatement.of(wanted).counts(time_limit=time_limit)


def _capped_sql(capped: Capped) -> tuple[str, list[Any]]:
    queryset = capped.queryset.order_by()
    if capped.by:
        # Correlated with the list of values, so that Django builds one query and not one a value.
        queryset = queryset.filter(**{capped.by: RawSQL("counted.value", (), TextField())})
    rows = queryset.annotate(one=Value(1)).values("one")[: capped.cap + 1]
    sql, params = rows.query.get_compiler(using=queryset.db).as_sql()
    number = f"(SELECT count(*) FROM ({sql}) AS rows)"  # noqa: S608 (from Django, its parameters apart)
    values = list(capped.values) if capped.by else [""]
    sql = f"SELECT %s, counted.value, {number} FROM unnest(%s::text[]) AS counted (value)"  # noqa: S608
    return sql, [*params, values]
