"""JSON Schema of every contract, for people who send us records and for the reference."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, TypeAdapter

from schemas.interaction import AuditRow, Evidence, Interaction, InteractionRow, ReportRow
from schemas.reading import READING_MODELS
from schemas.record import RECORD_MODELS, CanonicalRecord
from schemas.settings import Configuration, EngineSettings

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_OTHERS: dict[str, type[BaseModel]] = {
    "evidence": Evidence,
    "interaction": Interaction,
    "interaction_row": InteractionRow,
    "report_row": ReportRow,
    "audit_row": AuditRow,
    "configuration": Configuration,
    "engine_settings": EngineSettings,
}


def models() -> dict[str, type[BaseModel]]:
    """Return every contract by name: the kinds of records first, then readings, what is reported, the settings."""
    return {**RECORD_MODELS, **READING_MODELS, **_OTHERS}


def json_schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema (2020-12) of every contract by name; `record` is any canonical record."""
    schemas: dict[str, dict[str, Any]] = {
        name: {"$schema": DIALECT, **model.model_json_schema(by_alias=True)} for name, model in models().items()
    }
    union: TypeAdapter[Any] = TypeAdapter(CanonicalRecord)
    schemas["record"] = {"$schema": DIALECT, "title": "CanonicalRecord", **union.json_schema(by_alias=True)}
    return schemas
