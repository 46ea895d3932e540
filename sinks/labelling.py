"""Judging interactions: drawing a sample, taking labels in, and the share corrected for what they show."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any, Final

import numpy as np

from pipeline.correction import Corrected, Judged, Population, allocate, correct
from pipeline.errors import ConfigurationError
from pipeline.estimate import TooLittle
from schemas.annotations import VERDICTS, Drawn, Label
from sinks import measures
from sinks.annotations import Annotations
from sinks.effects import CUSTOMER
from sinks.measures import Row
from sinks.store import Store

SAMPLE_SIZE: Final = 400
_MOST_DRAWN: Final = 20_000
SAMPLE_COLUMNS: Final = (
    "interaction_id", "verdict", "note", "channel", "direction", "started_at", "team", "representative_id",
    "identifier", "outcome", "reason", "tier", "activity_id",
)  # fmt: skip


@dataclass(frozen=True)
class LabelCounts:
    """How many interactions are judged, and as what; `gone_count` of them are not in the store any more."""

    judged_count: int
    verdicts: dict[str, int]
    gone_count: int


def add_label(
    store: Store,
    annotations: Annotations,
    interaction_id: str,
    verdict: str,
    *,
    labelled_at: datetime,
    note: str = "",
    author: str = "",
) -> Label:
    """Label the interaction with this id, or with the only id that begins so; return the label.

    Raises:
        ConfigurationError: when there is no such interaction or verdict.
    """
    found = str(measures.interaction(store, interaction_id)["interaction_id"])
    label = Label(found, verdict, note.strip(), author.strip(), labelled_at)
    annotations.add_labels([label])
    return label


def read_labels(store: Store, stream: IO[str], *, labelled_at: datetime, author: str = "") -> tuple[list[Label], int]:
    """Return the labels of a table that `draw` wrote and people filled in, and how many rows have no verdict yet.

    CSV with commas or semicolons; interaction_id and verdict are read, note where there is one, and nothing else.

    Raises:
        ConfigurationError: when it is no CSV, a column is missing, or a row names a verdict or an interaction that
            there is not.
    """
    text = stream.read().removeprefix("\ufeff")
    header = text.partition("\n")[0]
    reader = csv.DictReader(
        io.StringIO(text, newline=""), delimiter=";" if header.count(";") > header.count(",") else ","
    )
    try:
        names = [name.strip().lower() for name in reader.fieldnames or ()]
        reader.fieldnames = names
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise ConfigurationError(
            f"the table is no CSV behind line {reader.line_num}: {error}; look for a quotation mark that never closes "
            "there"
        ) from None
    if missing := [name for name in ("interaction_id", "verdict") if name not in names]:
        raise ConfigurationError(
            f"the table has no column {missing[0]}; expected interaction_id, verdict and note, as "
            "`bypassflow label sample` writes them"
        )
    labels: list[Label] = []
    lines: dict[str, int] = {}
    open_count = 0
    for line, row in rows:
        interaction_id, verdict = ((row.get(name) or "").strip() for name in ("interaction_id", "verdict"))
        if not verdict:
            open_count += bool(interaction_id)
            continue
        plain = verdict.lower().replace(" ", "_")
        if plain not in VERDICTS:
            raise ConfigurationError(
                f"line {line}: unknown verdict {verdict[:40]!r}; expected one of {', '.join(VERDICTS)}"
            )
        lines[interaction_id] = line
        labels.append(Label(interaction_id, plain, (row.get("note") or "").strip(), author.strip(), labelled_at))
    if unknown := sorted(lines.keys() - _known(store, list(lines))):
        more = f", and {len(unknown) - 1:,} others" if len(unknown) > 1 else ""
        raise ConfigurationError(
            f"line {lines[unknown[0]]}: the store has no interaction {unknown[0][:64]!r}{more}; nothing was taken in; "
            "use the store that the sample was drawn from, or take these rows out"
        )
    return labels, open_count


def draw(
    store: Store,
    annotations: Annotations,
    *,
    size: int,
    seed: int,
    drawn_at: datetime,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[Row]:
    """Draw decided interactions to be judged, and remember which; return them with the columns SAMPLE_COLUMNS.

    Half of them are traced, half not, in proportion to their channels. The same seed draws the same. Rows that are
    judged already bring their verdict.

    Raises:
        ConfigurationError: when nothing is decided, or the size makes no sense.
    """
    if not 2 <= size <= _MOST_DRAWN:
        raise ConfigurationError(f"a sample of {size:,} makes no sense; expected 2 to {_MOST_DRAWN:,}")
    where, values = _time(since, until)
    # Which are drawn depends on their ids and the seed alone, on any machine and with any version of DuckDB.
    found = store.rows(
        f"""
        SELECT {_STRATUM}, count(*) AS n, arg_min(interaction_id, md5($seed || interaction_id), {size}) AS ids
        FROM current_interaction WHERE {where} GROUP BY ALL ORDER BY ALL
        """,
        {**values, "seed": f"{seed}/"},
    )
    ranked = {(row["outcome"], row["channel"]): row["ids"] for row in found}
    strata = {(row["outcome"], row["channel"]): int(row["n"]) for row in found}
    if not strata:
        raise ConfigurationError("no interaction is decided, so there is nothing to judge; replay with a newer export")
    rows = store.rows(
        """
        SELECT i.interaction_id, i.channel::VARCHAR AS channel, i.direction::VARCHAR AS direction, i.started_at,
            i.team, i.representative_id, s.display AS identifier, i.outcome::VARCHAR AS outcome,
            i.reason::VARCHAR AS reason, i.tier::VARCHAR AS tier, i.activity_id
        FROM current_interaction AS i
        SEMI JOIN (SELECT unnest($ids::VARCHAR[]) AS interaction_id) AS drawn USING (interaction_id)
        LEFT JOIN shown_identifier AS s ON s.token = i.token
        ORDER BY md5('order' || $seed || i.interaction_id)
        """,
        {
            "ids": [each for key, count in allocate(strata, size).items() for each in ranked[key][:count]],
            "seed": f"{seed}/",
        },
    )
    drawn = [
        Drawn(row["interaction_id"], _name(row["outcome"], row["channel"]), strata[row["outcome"], row["channel"]])
        for row in rows
    ]
    annotations.keep_sample(drawn, seed=seed, drawn_at=drawn_at)
    known = {label.interaction_id: label for label in annotations.labels()}
    judged = ((row, known.get(row["interaction_id"])) for row in rows)
    return [{**row, "verdict": label.verdict if label else None, "note": label.note if label else None}
            for row, label in judged]  # fmt: skip


def count_labels(store: Store, annotations: Annotations) -> LabelCounts:
    """Return how many interactions are judged, and how many of them are gone from the store."""
    labels = annotations.labels()
    known = _known(store, [label.interaction_id for label in labels])
    verdicts = Counter(label.verdict for label in labels)
    gone = sum(label.interaction_id not in known for label in labels)
    return LabelCounts(len(labels), {name: verdicts[name] for name in VERDICTS if verdicts[name]}, gone)


def corrected(
    store: Store, annotations: Annotations, since: datetime | None = None, until: datetime | None = None
) -> Corrected | TooLittle:
    """Return the bypass share of a time corrected for the errors that all judged samples show, or why it cannot be.

    Only interactions that were drawn count: those that somebody looked at because they were odd say nothing of the
    rest. Labels of interactions that are gone or pending are left out.
    """
    draws = [each for sample in annotations.samples().values() for each in sample]
    drawn = {each.interaction_id: each for each in draws}
    verdicts = {each.interaction_id: each.verdict for each in annotations.labels() if each.interaction_id in drawn}
    rows = store.rows(
        f"""
        SELECT interaction_id, {CUSTOMER} AS customer, outcome::VARCHAR AS outcome
        FROM current_interaction SEMI JOIN (SELECT unnest($ids::VARCHAR[]) AS interaction_id) AS judged
            USING (interaction_id)
        WHERE outcome <> 'pending'
        ORDER BY interaction_id
        """,
        {"ids": sorted(verdicts)},
    )
    # The newest sample, which is the last, says how large a stratum is.
    strata = {_stratum(each.stratum): each.stratum_count for each in draws}
    sample = [
        Judged(
            row["customer"], _stratum(drawn[row["interaction_id"]].stratum), row["outcome"],
            verdicts[row["interaction_id"]],
        )
        for row in rows
    ]  # fmt: skip
    return correct(sample, strata, _population(store, {each.customer for each in sample}, since, until))


# -- inside ------------------------------------------------------------------------------------------------------------

_STRATUM: Final = "outcome::VARCHAR AS outcome, channel::VARCHAR AS channel"


def _name(outcome: str, channel: str) -> str:
    return f"{outcome} {channel}"


def _stratum(name: str) -> tuple[str, str]:
    outcome, _, channel = name.partition(" ")
    return outcome, channel


def _time(since: datetime | None, until: datetime | None) -> tuple[str, dict[str, Any]]:
    conditions, values = ["outcome <> 'pending'"], {}
    for name, sign, moment in (("since", ">=", since), ("until", "<", until)):
        if moment is not None:
            conditions.append(f"started_at {sign} ${name}::TIMESTAMP")
            values[name] = moment
    return " AND ".join(conditions), values


def _known(store: Store, ids: Sequence[str]) -> set[str]:
    """Return those of the ids that are interactions of the store."""
    if not ids:
        return set()
    found = store.rows(
        "SELECT interaction_id FROM current_interaction "
        "SEMI JOIN (SELECT unnest($ids::VARCHAR[]) AS interaction_id) AS asked USING (interaction_id)",
        {"ids": list(ids)},
    )
    return {row["interaction_id"] for row in found}


def _population(store: Store, judged: set[str], since: datetime | None, until: datetime | None) -> Population:
    where, values = _time(since, until)
    rows = store.rows(
        f"""
        WITH customer AS (
            SELECT {CUSTOMER} AS customer, count(*) FILTER (outcome <> 'traced') AS untraced, count(*) AS decided
            FROM current_interaction WHERE {where} GROUP BY 1
        ),
        known AS (SELECT unnest($judged::VARCHAR[]) AS customer)
        SELECT known.customer AS judged, untraced, decided, count(*) AS customer_count
        FROM customer LEFT JOIN known USING (customer)
        GROUP BY ALL ORDER BY ALL
        """,
        {**values, "judged": sorted(judged)},
    )
    others = np.array(
        [(row["untraced"], row["decided"], row["customer_count"]) for row in rows if row["judged"] is None],
        dtype=float,
    ).reshape(-1, 3)
    own = {row["judged"]: (int(row["untraced"]), int(row["decided"])) for row in rows if row["judged"] is not None}
    return Population(own, others[:, 0], others[:, 1], others[:, 2])
