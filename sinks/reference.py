"""The reference page of the store, from the comments that the store itself carries.

python -m sinks.reference > docs/reference/store.md
"""

from __future__ import annotations

import duckdb

from sinks import catalog

INTRODUCTION = """\
<!-- Written by `python -m sinks.reference`; change sinks/views.sql instead. -->

# The store, column by column

A store is one DuckDB file.
Any DuckDB shell or library from 1.5 on reads it while nothing writes it:

    duckdb -readonly bypass.duckdb

These views are for analysts; what they are made of may change with a version, and they keep their columns.
The comments below are in the file too: `SELECT view_name, comment FROM duckdb_views()`, `DESCRIBE interactions`, \
`SELECT * FROM duckdb_columns()`.
All instants are UTC; `daily_share` alone counts days in the company's time zone.
Identifiers of customers are tokens everywhere; `identifier` columns show them masked, unless the configuration says \
otherwise.
"""

VIEWS = (
    "interactions",
    "evidence",
    "crm_activities",
    "daily_share",
    "accounts",
    "feeds",
    "dead_letters",
    "expired",
    "identifiers",
    "files",
    "runs",
)


def page() -> str:
    """Return the page as Markdown."""
    with duckdb.connect(":memory:") as connection:
        catalog.create(connection)
        parts = [INTRODUCTION]
        for view in VIEWS:
            comment = connection.execute("SELECT comment FROM duckdb_views() WHERE view_name = $1", [view]).fetchall()
            rows = connection.execute(
                "SELECT column_name, data_type, comment FROM duckdb_columns() WHERE table_name = $1 "
                "ORDER BY column_index",
                [view],
            ).fetchall()
            lines = [f"| `{name}` | {_type(type_)} | {text} |" for name, type_, text in rows]
            sentences = str(comment[0][0]).replace(". ", ".\n")
            parts.append(
                "\n".join([f"## {view}\n\n{sentences}\n", "| column | type | meaning |", "| --- | --- | --- |", *lines])
            )
    return "\n".join(parts[:1]) + "\n" + "\n\n".join(parts[1:]) + "\n"


def _type(sql_type: str) -> str:
    return (
        "text"
        if sql_type.startswith(("VARCHAR", "ENUM")) and not sql_type.endswith("[]")
        else _WORDS.get(sql_type, sql_type)
    )


_WORDS = {
    "VARCHAR[]": "list of texts",
    "TIMESTAMP": "instant",
    "DATE": "date",
    "BIGINT": "whole number",
    "INTEGER": "whole number",
    "DOUBLE": "number",
    "BOOLEAN": "yes or no",
}


if __name__ == "__main__":
    print(page(), end="")
