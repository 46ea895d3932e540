"""The contracts that other people's systems are held to: complete, documented, frozen, versioned."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from pipeline.columns import fact_table
from schemas.directory import COLUMNS, Representative
from schemas.export import json_schemas, models
from schemas.facts import SCHEMAS
from schemas.kafka import KafkaSettings
from schemas.record import RAW_EVENT_KINDS, RECORD_MODELS, CanonicalRecord
from schemas.settings import (
    CompanySettings,
    CrmSettings,
    ExcludeSettings,
    MatchSettings,
    PrivacySettings,
    SourceSettings,
)

RECORDS: TypeAdapter[Any] = TypeAdapter(CanonicalRecord)
ALL_MODELS = {
    **models(),
    **{
        model.__name__: model
        for model in (
            CompanySettings,
            MatchSettings,
            ExcludeSettings,
            CrmSettings,
            PrivacySettings,
            KafkaSettings,
            SourceSettings,
        )
    },
}
MEASURES = ("seconds",)


def example(model: type[BaseModel]) -> dict[str, Any]:
    """Return the record that the examples of all required fields make, by the names used in files."""
    return {
        info.alias or name: info.examples[0]
        for name, info in model.model_fields.items()
        if info.examples and (info.is_required() or name == "kind")
    }


@pytest.mark.parametrize("name", ALL_MODELS)
def test_every_field_has_a_description_and_an_example(name: str) -> None:
    for field, info in ALL_MODELS[name].model_fields.items():
        assert info.description, field
        assert info.description.endswith("."), field
        assert info.examples, field


@pytest.mark.parametrize("name", ALL_MODELS)
def test_every_example_is_valid_for_its_field(name: str) -> None:
    model = ALL_MODELS[name]
    for field, info in model.model_fields.items():
        adapter: TypeAdapter[Any] = TypeAdapter(info.rebuild_annotation())
        for value in info.examples or []:
            adapter.validate_json(TypeAdapter(Any).dump_json(value))
            assert value is not None, field


@pytest.mark.parametrize("name", ALL_MODELS)
def test_every_length_of_time_names_its_unit(name: str) -> None:
    for field, info in ALL_MODELS[name].model_fields.items():
        if field.endswith(MEASURES):
            assert "Unit: seconds" in (info.description or ""), field


@pytest.mark.parametrize("name", ALL_MODELS)
def test_contracts_cannot_be_changed_and_refuse_what_they_do_not_know(name: str) -> None:
    model = ALL_MODELS[name]
    assert model.model_config.get("frozen") is True
    assert model.model_config.get("extra") == "forbid"


@pytest.mark.parametrize("kind", RECORD_MODELS)
def test_a_record_is_told_by_its_kind_and_survives_json(kind: str) -> None:
    written = example(RECORD_MODELS[kind])
    record = RECORDS.validate_python(written)
    assert type(record) is RECORD_MODELS[kind]
    assert record.version == 1
    assert RECORDS.validate_json(record.model_dump_json(by_alias=True)) == record


@pytest.mark.parametrize("kind", RECORD_MODELS)
def test_a_version_that_is_not_known_is_refused(kind: str) -> None:
    with pytest.raises(ValidationError, match="version"):
        RECORDS.validate_python({**example(RECORD_MODELS[kind]), "version": 2})


def test_a_misspelt_field_is_refused_and_not_lost() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        RECORDS.validate_python({**example(RECORD_MODELS["call"]), "talkseconds": 300})


def test_a_kind_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValidationError, match="kind"):
        RECORDS.validate_python({"kind": "telegram"})


def test_json_schema_is_exported_for_every_contract_and_for_any_record() -> None:
    schemas = json_schemas()
    assert set(schemas) == {*models(), "record"}
    for name, schema in schemas.items():
        assert schema["$schema"].endswith("2020-12/schema"), name
    call = schemas["call"]
    assert call["required"] == ["started_at"]
    assert call["additionalProperties"] is False
    assert {"from", "to", "kind", "version"} <= call["properties"].keys()
    assert "from_" not in call["properties"]
    assert call["properties"]["talk_seconds"]["examples"] == [300]
    assert set(schemas["record"]["discriminator"]["mapping"]) == set(RECORD_MODELS)


def test_the_columns_of_the_directory_are_the_fields_of_a_representative() -> None:
    assert set(COLUMNS) == set(Representative.model_fields) - {"kind", "version"}
    assert set(RECORD_MODELS) > RAW_EVENT_KINDS


def test_a_fact_table_has_all_columns_and_refuses_others() -> None:
    table = fact_table("feed_progress", {"source": ["crm"]}, 1)
    assert table.schema == SCHEMAS["feed_progress"]
    assert table.to_pylist() == [{"source": "crm", "complete_through": None}]
    with pytest.raises(KeyError, match="no column 'sorce'"):
        fact_table("feed_progress", {"sorce": ["crm"]}, 1)
