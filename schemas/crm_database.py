"""`[[crm_database]]`: a CRM's own database, out of which `bypassflow crm pull` reads."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, Final, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from schemas.settings_values import (
    SOURCE_NAME_PATTERN,
    VARIABLE_PATTERN,
    ColumnName,
    Duration,
    SettingsTable,
    TimeZoneName,
)

CrmKind = Literal["contact", "account", "user", "activity", "ticket"]

_PASSWORD_IN_CLEAR: Final = re.compile(r"^[^/]*//[^/@:]*:(?!\$\{[A-Za-z_][A-Za-z0-9_]*\}@)[^@]+@")
_SHORTEST_POLL: Final = timedelta(seconds=1)


class CrmJoin(SettingsTable):
    """`[[crm_database.table.join]]`: a table with any number of rows for one of the table above."""

    table: str = Field(min_length=1, description="Name of the table.", examples=["call_contacts"])
    key: str = Field(min_length=1, description="Its column with the id of the row above.", examples=["call_id"])
    columns: dict[str, ColumnName] = Field(
        min_length=1,
        description="Field = column; the values of all its rows together are the field's.",
        examples=[{"contact_ids": "contact_id"}],
    )
    updated: str | None = Field(
        default=None,
        description="Its column with the time of the last change. Without one, a change here is seen when the row "
        "above changes too, or when everything is read again.",
        examples=["updated_at"],
    )
    deleted: str | None = Field(
        default=None, description="Its column that says yes when a row does not count.", examples=["deleted"]
    )


class CrmTable(SettingsTable):
    """`[[crm_database.table]]`: a table or query of which each row is one record."""

    kind: CrmKind = Field(
        description="What a row is: contact, account, user, activity or ticket.", examples=["contact"]
    )
    table: str | None = Field(default=None, min_length=1, description="Name of the table or view.", examples=["people"])
    query: str | None = Field(
        default=None,
        min_length=1,
        description="A SELECT in place of a table; `name` is needed with it.",
        examples=["SELECT id, phone, changed_at FROM people WHERE is_customer"],
    )
    name: str | None = Field(
        default=None,
        pattern=SOURCE_NAME_PATTERN,
        description="Name under which its records count. Default: the table's.",
        examples=["people"],
    )
    id: str = Field(default="id", min_length=1, description="Column with the id, unique and indexed.", examples=["id"])
    updated: str | None = Field(
        default=None,
        description="Column with the time of the last change. Without one, everything is read each time.",
        examples=["updated_at"],
    )
    columns: dict[str, ColumnName] = Field(
        description="Field of the record = column; a value that starts with '=' is a constant. `id` and `updated` "
        "stand for the record's own id and last change unless they are given here.",
        examples=[{"logged_at": "created_at", "owner_id": "user_id", "activity_kind": "type"}],
    )
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="How values are written, as in `[[source]].options`: values and date_format.",
        examples=[{"values": {"activity_kind": {"Phone": "call"}}}],
    )
    join: tuple[CrmJoin, ...] = Field(
        default=(),
        description="Tables with more of each row.",
        examples=[[{"table": "call_contacts", "key": "call_id", "columns": {"contact_ids": "contact_id"}}]],
    )

    @model_validator(mode="after")
    def _check_place(self) -> CrmTable:
        if (self.table is None) == (self.query is None):
            raise PydanticCustomError("inconsistent", "a table needs one of table and query")
        if self.query is not None and self.name is None:
            raise PydanticCustomError("inconsistent", 'query needs name, for example name = "people"')
        return self


class CrmDatabaseSettings(SettingsTable):
    """`[[crm_database]]`: where a CRM keeps its records, and what its tables are like."""

    source: str = Field(
        pattern=SOURCE_NAME_PATTERN, description="Name of the CRM, as in `[[source]]`.", examples=["crm"]
    )
    url: str | None = Field(
        default=None,
        min_length=1,
        description="SQLAlchemy's address of the database; the password is a ${VARIABLE} of the environment.",
        examples=["mysql://reader:${CRM_PASSWORD}@crm-db.acme.example/suitecrm"],
    )
    url_env: str | None = Field(
        default=None,
        pattern=VARIABLE_PATTERN,
        description="Name of the environment variable that holds the whole address, in place of url.",
        examples=["CRM_URL"],
    )
    mapping: str = Field(
        default="tables",
        min_length=1,
        description="What the tables are like: suitecrm, espocrm, odoo, or tables, which the configuration lists.",
        examples=["suitecrm"],
    )
    timezone: TimeZoneName | None = Field(
        default=None,
        description="IANA time zone of times that name none. SuiteCRM, EspoCRM and Odoo store UTC; for other tables "
        "it must be said.",
        examples=["UTC"],
    )
    db_schema: str | None = Field(
        default=None,
        min_length=1,
        description="Schema in which the tables stand. Default: the user's own.",
        examples=["public"],
    )
    batch: int = Field(default=2_000, ge=1, le=50_000, description="Rows that are asked for at once.", examples=[2_000])
    overlap: Duration = Field(
        default=timedelta(minutes=10),
        description="How far back is read again each time, and how far the feed's progress stays behind: longer than "
        "a change may take from its own time to being visible, and than clocks differ.",
        examples=["10min"],
    )
    reread: Duration = Field(
        default=timedelta(days=1),
        description="How often everything is read again, which finds rows that are gone.",
        examples=["1d"],
    )
    poll: Duration = Field(
        default=timedelta(minutes=1), description="With --follow: time between two reads.", examples=["1min"]
    )
    table: tuple[CrmTable, ...] = Field(
        default=(),
        description='With mapping = "tables": the tables.',
        examples=[[{"kind": "contact", "table": "people", "columns": {"phones": "phone"}}]],
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str | None) -> str | None:
        if value is not None and _PASSWORD_IN_CLEAR.match(value):
            raise ValueError("an address without a password in clear, such as 'mysql://reader:${CRM_PASSWORD}@host/db'")
        return value

    @field_validator("poll")
    @classmethod
    def _check_poll(cls, value: timedelta) -> timedelta:
        if value < _SHORTEST_POLL:
            raise ValueError('at least a second, such as "1min"')
        return value

    @model_validator(mode="after")
    def _check_address(self) -> CrmDatabaseSettings:
        if (self.url is None) == (self.url_env is None):
            raise PydanticCustomError(
                "inconsistent", 'one of url and url_env is needed, for example url_env = "CRM_URL"'
            )
        if self.mapping == "tables" and not self.table:
            raise PydanticCustomError(
                "inconsistent",
                'mapping is needed: "suitecrm", "espocrm" or "odoo", or a [[crm_database.table]] for each table',
            )
        if self.mapping != "tables" and self.table:
            raise PydanticCustomError("inconsistent", 'a [[crm_database.table]] goes with mapping = "tables" alone')
        return self
