"""`[retention]`: how long a store keeps what it was made of. Nothing leaves unless a length of time is given."""

from __future__ import annotations

from pydantic import Field

from schemas.settings_values import Duration, SettingsTable


class RetentionSettings(SettingsTable):
    """`[retention]`: how long a store keeps raw events, interactions and dead letters."""

    evidence: Duration | None = Field(
        default=None,
        description="Raw events and the activities around them, by when they happened. Their interactions stay, as "
        "they were last said to be. Default: for ever.",
        examples=["400d"],
    )
    interactions: Duration | None = Field(
        default=None,
        description="Interactions with all that belongs to them, by when they began. Default: for ever.",
        examples=["1100d"],
    )
    dead_letters: Duration | None = Field(
        default=None,
        description="Outlines of records that could not be used, by the record before them. Default: for ever.",
        examples=["90d"],
    )

    @property
    def is_set(self) -> bool:
        """Whether anything leaves at all."""
        return any(length is not None for length in (self.evidence, self.interactions, self.dead_letters))
