"""The first rows of a query, to ask further among: in SQL, FROM (SELECT … LIMIT n)."""

import json
from typing import Any, NamedTuple

from django.core.exceptions import EmptyResultSet
from django.db.models import Q, QuerySet
from django.db.models.sql import Query
from django.db.models.sql.datastructures import BaseTable
from django.db.models.sql.where import WhereNode

EVERY_ROW = 2**63 - 1
FEW = 20_000  # rows: more than the database takes a word for that it does not know
COST_OF_ONE = 10  # at most, by the database's measure, to look up one row by an index
SOON_FOUND = 2_000  # by that measure, whichever way rows are found


def first_rows(queryset: QuerySet, at_most: int = EVERY_ROW) -> QuerySet:
    """The same queryset, of its first rows alone: what is filtered from now on is filtered of these.

    The database finds these rows as if nothing else were asked. With `EVERY_ROW` that is the point: what
    comes later, such as an order, cannot make it look for them in another way.
    """
    columns = [field.attname for field in queryset.model._meta.concrete_fields]
    rows = queryset.values(*columns)[:at_most].query
    queryset = queryset.all()
    queryset.query.where = WhereNode()
    alias = queryset.query.get_initial_alias()
    queryset.query.alias_map[alias] = _Rows(rows, alias)
    return queryset


def rows_passing(queryset: QuerySet, condition: Q, *, alone: bool) -> QuerySet:
    """The same queryset, of rows that meet a condition; found, if that is told, by the condition alone.

    Else the database would look up as well all that meet the queryset's own, such as a million videos.
    """
    if not alone:
        return first_rows(queryset.order_by().filter(condition))
    rows = first_rows(_every(queryset).filter(condition))
    rows.query.where = queryset.query.where.clone()
    return rows


class Estimate(NamedTuple):
    """What the planner expects of a condition: there in no time, and may be wrong.

    No result may depend on it.
    """

    rows: float
    cost: float

    def are_few(self, at_most: int | None = None) -> bool:
        """Whether few rows meet it, and an index finds them: by a scan, few take long."""
        few = FEW if at_most is None else at_most
        return self.rows <= few and self.cost <= COST_OF_ONE * self.rows + SOON_FOUND


def estimate(queryset: QuerySet, condition: Q) -> Estimate:
    """Of all rows of the queryset's table."""
    passing = _every(queryset).filter(condition).values("pk")
    try:
        plan = json.loads(passing.explain(format="json"))[0]["Plan"]
    except EmptyResultSet:
        return Estimate(0, 0)
    return Estimate(plan["Plan Rows"], plan["Total Cost"])


def _every(queryset: QuerySet) -> QuerySet:
    every = queryset.order_by()
    every.query.where = WhereNode()
    return every


class _Rows(BaseTable):
    """A query in the place of the table that its rows are from."""

    def __init__(self, rows: Query, alias: str) -> None:
        super().__init__(rows.get_meta().db_table, alias)
        self.rows = rows

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        sql, params = self.rows.get_compiler(connection=connection).as_sql()
        return f"({sql}) {compiler.quote_name_unless_alias(self.table_alias)}", params

    def relabeled_clone(self, change_map: dict[str, str]) -> "_Rows":
        return _Rows(self.rows, change_map.get(self.table_alias, self.table_alias))

    @property
    def identity(self) -> tuple[Any, ...]:
        return (*super().identity, self.rows)
