"""Rotating the company's key: tokens in a store are taken through a new link, and key file and store change as one.

The key that will be is written beside the key file first, and takes its place last. Wherever a kill strikes, the same
command goes on with the same link; meanwhile nobody else can read the key.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from duckdb.func import FunctionNullHandling, PythonUDFType

from pipeline.errors import ConfigurationError
from pipeline.forgetting import NOBODY
from pipeline.keys import CompanyKey, advanced
from sinks.annotations import Annotations
from sinks.erasure.erasing import alone
from sinks.keyfile import next_path, read_key, write_key
from sinks.placement import sync
from sinks.rewriting import OLD, counted, rewriting
from sinks.store import Store

# Columns of tokens by table; lists end in [].
_TOKENS: Final = {
    "observation_base": ("from_token", "to_token", "from_domain", "to_domain"),
    "directory_entry": ("email_token", "direct_token", "mobile_token"),
    "contact": ("tokens[]",),
    "account": ("tokens[]", "domains[]"),
    "crm_user": ("email_token",),
    "activity": ("tokens[]",),
    "identifier": ("token",),
}
_PARTIES: Final = (
    "list_transform(parties, lambda party: {'role': party.role, 'token': rotated(party.token), "
    "'domain': rotated(party.domain)})"
)
_OF_SETTINGS: Final = ("own_domains", "own_numbers", "never_log")


def rotate(
    path: Path, key_path: Path, annotations: Annotations, link: bytes, digest_of: Callable[[bytes], str]
) -> CompanyKey:
    """Give the company a new key, and the store tokens of it; return the key. `link`: 32 random bytes.

    `digest_of` tells keys apart in the store's runs. Readers' positions are forgotten: the topics hold old tokens, so
    the live pipeline begins on new ones.

    Raises:
        ConfigurationError: when there is no key, or the store was made with another one.
        TransientError: when a sink or a replay writes the store, or the disk is full. Nothing has changed then.
    """
    Store.open(path, read_only=False).close()  # merges the log of its writes, and brings it up to date
    with alone(path) as placement:
        try:
            key = read_key(key_path)
        except FileNotFoundError:
            raise ConfigurationError(f"{key_path} is not there; there is no key to rotate") from None
        coming = next_path(key_path)
        new = read_key(coming) if coming.exists() else CompanyKey(key + link)
        if not coming.exists():
            _check(path, digest_of(key))
            draft = coming.with_name(f".{coming.name}")
            write_key(draft, new)
            os.replace(draft, coming)
            sync(coming.parent)
        if _digest_in(path) != digest_of(new):
            _check(path, digest_of(key))
            renamed = _rewrite(path, placement.draft, new, len(key.links), digest_of(new))
            annotations.rename(renamed)
            placement.settle()
        os.replace(coming, key_path)
        sync(key_path.parent)
    return new


def _digest_in(path: Path) -> str | None:
    with Store.open(path) as store:
        run = store.last_run()
    return None if run is None else run.key_digest


def _check(path: Path, digest: str) -> None:
    if _digest_in(path) not in (None, digest):
        raise ConfigurationError(
            f"the store {path} was made with another key than the configuration's; restore the key file, "
            "or name another store"
        )


def _rewrite(old: Path, new: Path, key: CompanyKey, generation: int, digest: str) -> dict[str, str]:
    """Write the store with new tokens; return the new ids of interactions whose id is made of a token, by the old."""
    known: dict[str | None, str | None] = {None: None, NOBODY: NOBODY}

    def rotated(token: str | None) -> str | None:
        if token not in known:
            known[token] = advanced(key, str(token), generation)
        return known[token]

    def rotated_column(column: pa.ChunkedArray) -> pa.Array:
        encoded = pc.dictionary_encode(column).combine_chunks()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.chunk(0)
        values = pa.array([rotated(token) for token in encoded.dictionary.to_pylist()], pa.string())
        return values.take(encoded.indices)

    with rewriting(old, new) as both:
        db = both.connection
        db.create_function(
            "rotated", rotated_column, ["varchar"], "varchar", type=PythonUDFType.ARROW,
            null_handling=FunctionNullHandling.SPECIAL,
        )  # fmt: skip
        db.execute(
            f"""
            CREATE TEMP TABLE renamed AS
            WITH told AS (
                SELECT interaction_id, coalesce(evidence_id, interaction_id) AS evidence_id, token
                FROM {OLD}.interaction_base WHERE channel = 'email' AND token IS NOT NULL
                UNION
                SELECT interaction_id, coalesce(evidence_id, interaction_id), token
                FROM {OLD}.interaction_delta WHERE channel = 'email' AND token IS NOT NULL
            )
            SELECT interaction_id, substr(md5(evidence_id || '|' || rotated(token)), 1, 16) AS new_id
            FROM told WHERE interaction_id = substr(md5(evidence_id || '|' || token), 1, 16)
            """
        )
        expected = counted(db) | {"position": 0}
        made = both.copy(_queries())
        if made != expected:
            raise ConfigurationError(f"{old} could not be copied whole; check its disk")
        db.execute("UPDATE new.run SET key_digest = $digest", {"digest": digest})
        for number, text in db.execute("SELECT run_number, settings FROM new.run").fetchall():
            settings = json.loads(text)
            for name in _OF_SETTINGS:
                if name in settings:
                    settings[name] = [rotated(token) for token in settings[name]]
            changed = json.dumps(settings, separators=(",", ":"))
            db.execute(
                "UPDATE new.run SET settings = $settings WHERE run_number = $number",
                {"settings": changed, "number": number},
            )
        found = db.execute("SELECT interaction_id, new_id FROM renamed").fetchall()
    return {str(before): str(after) for before, after in found}


def _queries() -> dict[str, str]:
    """Return for each table that holds tokens, or ids made of them, the query of its new rows."""
    queries = {"position": f"FROM {OLD}.position WHERE false"}
    for table, columns in _TOKENS.items():
        changes = [_changed(column) for column in columns]
        if table == "observation_base":
            changes.append(f"{_PARTIES} AS parties")
        queries[table] = f"SELECT * REPLACE ({', '.join(changes)}) FROM {OLD}.{table}"
    for table in ("interaction_base", "interaction_delta", "interaction_retracted"):
        token = "" if table.endswith("retracted") else ", rotated(token) AS token"
        queries[table] = _renaming(table, token)
    for table in ("activity_outcome_base", "activity_outcome_delta"):
        queries[table] = _renaming(table, "")
    return queries


def _changed(column: str) -> str:
    name = column.removesuffix("[]")
    if column.endswith("[]"):
        # Sorted, as those who read records write them.
        return f"list_sort(list_transform({name}, lambda token: rotated(token))) AS {name}"
    return f"rotated({name}) AS {name}"


def _renaming(table: str, more: str) -> str:
    """Return a query of rows whose interaction may have another id now."""
    return (
        f"SELECT told.* REPLACE (coalesce(renamed.new_id, told.interaction_id) AS interaction_id{more}) "
        f"FROM {OLD}.{table} AS told LEFT JOIN renamed ON renamed.interaction_id = told.interaction_id"
    )
