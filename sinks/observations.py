"""Observations as their table has them: ids that follow from other columns are left out, for texts are dear to store.

The system's own id of an event often is that of the whole call, and the key of a conversation is made of it. Null
stands for the id that follows, and an empty text for none where one would follow; the view `observation` tells all
columns of `schemas.facts` again.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from sinks.appending import is_constant

TABLE = "observation_base"
_TEXT = pa.string()
# Arrow wants an end of the slice.
_LONGEST = 2**30


def shortened(table: pa.Table) -> pa.Table:
    """Return observations without event ids that are the session id, and without keys that are `source:id`.

    The id of a key is that of the session or, where there is none, of the event.
    """
    if not table.num_rows:
        return table
    event_id, session_id, key = (table.column(name).cast(_TEXT) for name in ("event_id", "session_id", "key"))
    own_id = pc.coalesce(session_id, event_id) if session_id.null_count else session_id
    columns = {
        "event_id": _unless(pc.equal(event_id, session_id), event_id, session_id),
        "key": _unless(_is_made_of(key, table.column("source"), own_id), key, own_id),
    }
    for name, values in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, values)
    return table


def _is_made_of(key: pa.ChunkedArray, source: pa.ChunkedArray, own_id: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return where a key is its source and its id; nowhere in a batch of several sources, which is rare."""
    if not is_constant(source):
        return pa.chunked_array([pa.repeat(False, len(key))])
    prefix = f"{source[0].as_py()}:"
    rest = pc.binary_slice(key.cast(pa.binary()), len(prefix.encode()), _LONGEST)
    return pc.and_(pc.starts_with(key, prefix), pc.equal(rest, own_id.cast(pa.binary())))


def _unless(follows: pa.ChunkedArray, values: pa.ChunkedArray, origin: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return null for values that follow, and an empty text for no value where there is one that it could follow."""
    follows = pc.fill_null(follows, False)
    if pc.all(follows).as_py():
        return pa.chunked_array([pa.nulls(len(values), _TEXT)])
    if values.null_count:
        values = pc.if_else(pc.and_(pc.is_null(values), pc.is_valid(origin)), pa.scalar("", _TEXT), values)
    return pc.if_else(follows, pa.scalar(None, _TEXT), values)
