"""What a backup says of itself: its manifest, a JSON file beside what was copied."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

FORM: Literal[1] = 1


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BackupFile(_Part):
    """One file of a backup."""

    name: str = Field(pattern=r"^[\w][\w.-]*$", description="Name in the backup's folder.", examples=["store.duckdb"])
    part: Literal["store", "annotations", "configuration", "key", "forgotten"] = Field(
        description="What it is.", examples=["store"]
    )
    original_name: str = Field(
        # A name in a folder: no path, and more than dots.
        pattern=r"^[^/\\\x00-\x1f\x7f]*[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*$",
        max_length=255,
        description="Name that it had where it was copied from.",
        examples=["bypass.duckdb"],
    )
    byte_count: int = Field(ge=0, description="Size. Unit: bytes.", examples=[4_206_592])
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of its content.", examples=["ab" * 32])


class BackupManifest(_Part):
    """`manifest.json` of a backup: its files with their checksums, and the rows of each of the store's tables."""

    form: Literal[1] = Field(default=FORM, description="Form of this manifest.", examples=[1])
    taken_at: datetime = Field(description="When the backup was taken, UTC.", examples=["2024-05-02T06:15:04Z"])
    bypassflow_version: str = Field(description="Version that took it.", examples=["0.1.0"])
    schema_version: int = Field(description="Version of the store's schema.", examples=[3])
    company_id: str | None = Field(description="Company that the store measures; null: no run yet.", examples=["acme"])
    files: tuple[BackupFile, ...] = Field(description="What was copied.", examples=[[]])
    row_counts: dict[str, int] = Field(
        description="Rows by table of the store, counted in the store and again in the copy.",
        examples=[{"interaction_base": 1200}],
    )

    @model_validator(mode="after")
    def _check_files(self) -> Self:
        for names in ([file.part for file in self.files], [file.original_name for file in self.files]):
            if len(set(names)) < len(names):
                raise ValueError("two of the files would go to the same place")
        return self
