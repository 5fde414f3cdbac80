"""The statements that one would write by hand for what a page shows: the least that it can cost."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from psycopg.sql import Literal

from assets.facets import FACET_CAP, MOST_LOOKED_UP, TOTAL_CAP
from assets.filters import EXPIRY_WINDOWS
from assets.models.reviews import STANDING
from assets.overview import MOST_COUNTED
from assets.views.gallery import PAGE_SIZE
from bench.asking import Statement

# ruff: noqa: S608  (written here, their values quoted)

CARD = (
    "id, user_id, asset_type, file_size_bytes, duration_seconds, job_id, asset_index, generation_seed,"
    " model_used, created_at, expires_at, width, height, left(original_prompt, 161) AS prompt_start,"
    " generation_settings ->> 'content_mode' AS content_mode"
)
# Below each sibling stands what was asked for differently, so what was asked for is read with it.
COMPARED = f"{CARD}, md5(original_prompt), generation_settings"
NEWEST, OLDEST = "created_at DESC, id DESC", "created_at, id"
PROBED = 3_000  # rows at the head of a list that are looked at one by one
GATHERED = 200_000  # rows that an index without order finds, before they are sorted
_COUNTED = "id, asset_type, model_used, expires_at"
# As the index has it.
WORDS = (
    "to_tsvector('simple', COALESCE(translate(left(original_prompt, 100000), '<>/.@&', '      '), ''))"
    " @@ plainto_tsquery('simple', {})"
)


def literal(value: Any) -> str:
    return Literal(value).as_string(None)


# --- Lists ---------------------------------------------------------------------


def listed(where: str = "true", order: str = NEWEST, size: int = PAGE_SIZE, columns: str = CARD) -> Statement:
    """By an index in the order of the page."""
    return Statement(
        f"SELECT {columns} FROM workspace_assets WHERE {where} ORDER BY {order} LIMIT {size + 1}"
    )


def probed(where: str, order: str = NEWEST) -> Statement:
    """Among the first rows of the list, where that many have it."""
    head = f"SELECT * FROM workspace_assets ORDER BY {order} LIMIT {PROBED}"
    return Statement(
        f"SELECT {CARD} FROM ({head}) AS head WHERE {where} ORDER BY {order} LIMIT {PAGE_SIZE + 1}"
    )


def gathered(where: str) -> Statement:
    """By an index that knows no order, sorted then."""
    return Statement(f"""
        WITH found AS MATERIALIZED
            (SELECT id, created_at FROM workspace_assets WHERE {where} LIMIT {GATHERED}),
        page AS MATERIALIZED (SELECT id FROM found ORDER BY {NEWEST} LIMIT {PAGE_SIZE + 1})
        SELECT {CARD} FROM workspace_assets WHERE id = ANY (ARRAY(SELECT id FROM page)) ORDER BY {NEWEST}
    """)


def has_word(word: str) -> str:
    return WORDS.format(literal(word))


def head_has_word(word: str) -> str:
    """Where rows are looked at one by one: what has not the letters has not the word."""
    return f"original_prompt ILIKE {literal(f'%{word}%')} AND {has_word(word)}"


def has_setting(key: str, *values: int) -> str:
    """As the number or as the text that spells it."""
    wanted = [f'{{"{key}": {value}}}' for value in values] + [f'{{"{key}": "{value}"}}' for value in values]
    return f"generation_settings @> ANY (ARRAY[{', '.join(map(literal, wanted))}]::jsonb[])"


def values_above(key: str, number: int) -> Statement:
    """The values that a range means: no index answers it, but one answers which rows have a value.

    So by hand as well, those that occur are to be asked for in a table of them, before any row can be.
    """
    return Statement(
        f"SELECT settings FROM assets_settingvalue WHERE key = {literal(key)}"
        f" AND (settings ->> {literal(key)})::numeric > {number}"
    )


def around_cards(rows: Sequence[tuple]) -> list[Statement]:
    """The names and the verdicts of the cards of a list."""
    ids, users = [row[0] for row in rows], list({row[1] for row in rows})
    return [
        Statement("SELECT id, username FROM profiles WHERE id = ANY (%s)", [users]),
        Statement(
            "SELECT asset_id, verdict, note, username FROM assets_review"
            " JOIN auth_user ON auth_user.id = reviewer_id"
            " WHERE superseded_at IS NULL AND asset_id = ANY (%s)",
            [ids],
        ),
    ]


def of_person(session_key: str, user_id: int) -> list[Statement]:
    """Who asks, and what they may."""
    return [
        Statement(
            "SELECT session_data FROM django_session WHERE session_key = %s AND expire_date > now()",
            [session_key],
        ),
        Statement("SELECT * FROM auth_user WHERE id = %s", [user_id]),
        Statement(
            "SELECT app_label, codename FROM auth_user_groups"
            " JOIN auth_group_permissions USING (group_id)"
            " JOIN auth_permission ON auth_permission.id = permission_id"
            " JOIN django_content_type ON django_content_type.id = content_type_id WHERE user_id = %s",
            [user_id],
        ),
    ]


# --- Counts --------------------------------------------------------------------


def total(where: str = "true", cap: int = TOTAL_CAP) -> Statement:
    return Statement(f"SELECT {_capped(where, cap)}")


def rail(models: Iterable[str], given: Mapping[str, str], order: str = NEWEST) -> tuple[Statement, ...]:
    """Each option counted by a range of an index, and where none has it, among the first rows of the list.

    `given` are the conditions, by the facet they belong to.
    """

    def others(*facets: str) -> str:
        return " AND ".join(
            [condition for name, condition in given.items() if name not in facets] or ["true"]
        )

    def is_indexed(facet: str) -> bool:
        names = {*given, facet}
        return "job" in names or "expires" not in names or len(names) == 1

    every = others()
    counts = {"total": _capped(every, TOTAL_CAP)}
    counts |= {verdict: f"(SELECT count(*) FROM {_reviewed(verdict)} AND {every})" for verdict in STANDING}
    counts["none"] = _unreviewed(every)
    options = {
        "type": {value: f"asset_type = {literal(value)}" for value in ("image", "video")},
        "model": {value: f"model_used = {literal(value)}" for value in models},
        "expires": _expiries(),
    }
    for facet, conditions in options.items():
        if is_indexed(facet):
            for value, condition in conditions.items():
                counts[value] = _capped(f"{others(facet)} AND {condition}")
    counted = " UNION ALL ".join(f"SELECT {literal(name)}, {sql}" for name, sql in counts.items())
    sampled = () if all(map(is_indexed, options)) else (rail_of_head("true", every, order),)
    return (Statement(counted), *sampled)


def rail_of(where: str) -> Statement:
    """All rows of an index without order, grouped once."""
    return _grouped(f"SELECT {_COUNTED} FROM workspace_assets WHERE {where} LIMIT {PROBED}")


def rail_of_head(where: str, every: str = "true", order: str = NEWEST) -> Statement:
    """Of the first rows of the list, where those are enough to say how many there are at least."""
    head = f"SELECT * FROM workspace_assets WHERE {every} ORDER BY {order} LIMIT {PROBED}"
    return _grouped(f"SELECT {_COUNTED} FROM ({head}) AS head WHERE {where}")


def _grouped(found: str) -> Statement:
    counts = ", ".join(f"count(*) FILTER (WHERE {condition})" for condition in _expiries().values())
    return Statement(f"""
        WITH found AS MATERIALIZED ({found})
        SELECT 'type', asset_type, ARRAY[count(*)] FROM found GROUP BY asset_type
        UNION ALL SELECT 'model', model_used, ARRAY[count(*)] FROM found GROUP BY model_used
        UNION ALL SELECT 'expires', '', ARRAY[{counts}] FROM found
        UNION ALL SELECT 'verdict', coalesce({_VERDICT.format("found.id")}, 'none'), ARRAY[count(*)]
            FROM found GROUP BY 2
    """)


def _capped(where: str, cap: int = FACET_CAP) -> str:
    return f"(SELECT count(*) FROM (SELECT 1 FROM workspace_assets WHERE {where} LIMIT {cap + 1}) AS rows)"


def _expiries() -> dict[str, str]:
    windows = {
        name: f"expires_at > now() AND expires_at <= now() + {literal(window)}"
        for name, window in EXPIRY_WINDOWS.items()
    }
    return {**windows, "expired": "expires_at <= now()", "never": "expires_at IS NULL"}


# Looked up for each row of few: to join all reviews would take longer.
_VERDICT = (
    "(SELECT verdict FROM assets_review WHERE asset_id = {} AND superseded_at IS NULL"
    " AND verdict IN ('approved', 'flagged') LIMIT 1)"
)


def _unreviewed(where: str) -> str:
    some = f"SELECT id FROM workspace_assets WHERE {where} LIMIT {MOST_LOOKED_UP}"
    none = (
        f"SELECT 1 FROM ({some}) AS looked WHERE {_VERDICT.format('looked.id')} IS NULL LIMIT {FACET_CAP + 1}"
    )
    return f"(SELECT count(*) FROM ({none}) AS rows)"


def _reviewed(verdict: str) -> str:
    newest = (
        "SELECT asset_id FROM assets_review WHERE superseded_at IS NULL"
        f" AND verdict = {literal(str(verdict))} ORDER BY id DESC LIMIT {FACET_CAP}"
    )
    return f"workspace_assets WHERE id = ANY (ARRAY({newest}))"


# --- Other pages -----------------------------------------------------------------


def of_user(user: str, jobs: int) -> list[Statement]:
    return [
        Statement(f"SELECT * FROM profiles WHERE id = {user}"),
        Statement(
            "SELECT id, status, created_at, left(original_prompt, 161) FROM jobs"
            f" WHERE user_id = {user} ORDER BY created_at DESC LIMIT {jobs}"
        ),
        # Exact, unless there are more.
        Statement(
            "SELECT asset_type, count(*), sum(file_size_bytes) FROM (SELECT asset_type, file_size_bytes"
            f" FROM workspace_assets WHERE user_id = {user} LIMIT {MOST_COUNTED + 1}) AS newest GROUP BY 1"
        ),
        Statement(
            "SELECT asset_type, count, bytes, as_of FROM assets_rollup, assets_refresh"
            f" WHERE user_id = {user} AND kind = 'user'"
        ),
    ]


def of_overview() -> list[Statement]:
    return [
        Statement("SELECT * FROM assets_rollup WHERE kind <> 'user'"),
        Statement("SELECT * FROM assets_refresh"),
        Statement(
            "SELECT id, username FROM profiles WHERE id = ANY"
            " (ARRAY(SELECT user_id FROM assets_rollup WHERE kind = 'top_user'))"
        ),
    ]


def of_asset(asset: str, job: str) -> list[Statement]:
    """Its row, its job, what happened to it, and its neighbours."""
    place = f"(SELECT created_at, id FROM workspace_assets WHERE id = {asset})"
    return [
        Statement(f"SELECT *, generation_settings::text FROM workspace_assets WHERE id = {asset}"),
        Statement(f"SELECT * FROM jobs WHERE id = {job}"),
        *(
            Statement(f"SELECT * FROM {table} WHERE asset_id = {asset} ORDER BY id DESC LIMIT 200")
            for table in ("assets_disposition", "assets_review", "assets_extension")
        ),
        *(
            Statement(
                f"SELECT id FROM workspace_assets WHERE (created_at, id) {sign} {place}"
                f" ORDER BY {order} LIMIT 1"
            )
            for sign, order in (("<", NEWEST), (">", OLDEST))
        ),
    ]
