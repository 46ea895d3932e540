"""The engine: folds normalised facts into interactions, their outcomes, and what was said of every raw event.

The result is a function of the set of facts. `Engine.fold` adds facts, finds what they may affect, works that out
again with the steps in `pipeline/sql`, and returns the difference to what was said before. One giant batch and many
small ones end in the same rows. The engine owns one DuckDB connection in memory and nothing else.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.components import join_labels
from pipeline.crowds import OTHER_REPRESENTATIVE, SAME_REPRESENTATIVE, Activity, Crowd, Interaction, RankedPair, Windows
from pipeline.engine_state import LASTING, LAYOUT, STATE_TABLES, EngineState, read_tables, write_tables
from pipeline.matching import DOUBTFUL, assign
from pipeline.merging import Call, merge
from pipeline.steps import Steps
from pipeline.whoswho import Group, WhosWho
from schemas.facts import SCHEMAS
from schemas.settings import EngineSettings

TIER_NAMES = ("exact", "same_representative", "other_representative", "inferred")
_FRESH_LEGS = """
    SELECT {unique}
        raw_id, source, record_digest, channel, line, direction AS hint,
        started_at, answered_at, coalesce(ended_at, started_at) AS ended_at,
        coalesce(talk_seconds, 0) AS talk_seconds, coalesce(talk_basis, 0) AS talk_basis, attempt,
        coalesce(key, raw_id) AS key, event_id, session_id,
        from_endpoint, from_token, from_domain, to_endpoint, to_token, to_domain, via_endpoint,
        automated, bulk, emergency, true AS is_new
    FROM incoming_observation
    ANTI JOIN leg USING (raw_id)
    ANTI JOIN late_fact USING (raw_id)
    WHERE channel <> 'email'
"""
# DuckDB would compress tables in memory now and then, and give memory back that the next statement asks for again.
_CONNECTION = """
    SET enable_progress_bar = false;
    SET preserve_insertion_order = false;
    SET checkpoint_threshold = '1TB';
    SET allocator_flush_threshold = '4GB';
    SET allocator_bulk_deallocation_flush_threshold = '4GB'
"""
_MICROSECOND = timedelta(microseconds=1)
# Pairs from which a customer's are worked out one after the other and not written down all at once.
CROWD_PAIRS = 20_000
# Facts from which a second thread saves more time than it costs processor; live, other processes want that.
_WORTH_THREADS = 150_000
# Rows from which a step's table is emptied after the fold and not only before the next.
_LARGE = 10_000
_SIZED = ("interaction", "leg", "mail_copy", "activity", "contact_fact")
_ENDPOINTS = ("from_endpoint", "to_endpoint", "via_endpoint")
# What is matched again, with the row numbers that stand for it while it is: in a fold the drafts and, after them, what
# they may affect; when time is closed all that is open.
_SCOPES = {
    "draft": {
        "scope_interaction": """
            SELECT rowid AS i_no, * FROM draft_interaction
            UNION ALL BY NAME
            SELECT getvariable('draft_count') + rowid AS i_no, * EXCLUDE (
                said_row, is_changed, company_id, outcome, reason, tier, activity_id, ticket_id, trace_delay_seconds,
                window_ends_at
            )
            FROM old_interaction
            WHERE NOT is_changed
        """,
        "scope_activity": "SELECT rowid AS a_no, * FROM draft_activity",
    },
    "state": {
        "scope_interaction": "SELECT rowid AS i_no, * FROM interaction",
        "scope_activity": "SELECT rowid AS a_no, * FROM activity",
    },
}
# What is said, by name, and the columns of it; an interaction's others are for the next fold.
_TOLD = {
    "interaction": "* EXCLUDE (domain, party_count, node)",
    "retracted": "*",
    "disposition": "*",
    "activity_outcome": "*",
}


@dataclass(frozen=True)
class Changes:
    """What a fold says anew, as Arrow tables.

    `interaction`: upserts, key interaction_id; `said_before` is false where the id was never said.
    `retracted`: interaction_id of interactions that are none any more.
    `disposition`: one row per raw event whose disposition is new or other than before.
    `activity_outcome`: upserts, key activity_id; status `deleted` takes an activity back.
    `late`: raw_id of facts that came after their time was closed; they are not folded.
    """

    version: int
    tables: Mapping[str, pa.Table] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is said anew."""
        return not any(table.num_rows for table in self.tables.values())


@dataclass(frozen=True)
class Pair:
    """An activity that may be the trace of an interaction, and in which tier."""

    activity_id: str
    interaction_id: str
    tier: str


class Engine:
    """One company's open facts and what follows from them."""

    def __init__(self, settings: EngineSettings, *, threads: int | None = None) -> None:
        self.settings = settings
        self._db = duckdb.connect(":memory:", config={"threads": str(threads)} if threads else {})
        self._threads = self._threads_in_use = int(self._db.sql("SELECT current_setting('threads')").fetchall()[0][0])
        self._db.execute(_CONNECTION)
        self._known_endpoints: set[str] = set()
        self._group_numbers: dict[Group, int] = {}
        self._empty: dict[str, pa.Table] = {}
        self._made: set[str] = set()
        self._complete_through: datetime | None = None
        self._closed_through: datetime | None = None
        self._shown = ""
        self._steps = Steps(self._db)
        self._steps.run("state")
        for kind, schema in SCHEMAS.items():
            self._db.register(f"incoming_{kind}", schema.empty_table())
        self._db.execute(f"CREATE TEMP VIEW fresh_leg AS {_FRESH_LEGS.format(unique='')}")
        self._set_variables()
        self._read_directory()

    def fold(
        self,
        facts: Mapping[str, pa.Table],
        version: int = 0,
        *,
        closes: datetime | None = None,
        is_last: bool = False,
        is_silent: bool = False,
    ) -> Changes:
        """Add facts and return what is said anew. Facts that are already there change nothing.

        With `closes` the engine forgets what can no longer change, as `retire` does. With `is_last` it does not
        remember anything of what it said: nothing may be folded afterwards. With `is_silent` only `late` is returned,
        to one who folds again what was folded before.
        """
        self._share_out(sum(table.num_rows for table in facts.values()))
        self._receive(facts)
        late = self._close_late()
        has_progressed = self._fold_progress()
        everybody = self._fold_directory()
        self._fold_customers()
        self._fold_activities(everybody)
        self._fold_observations(everybody)
        self._compose()
        self._find_scope()
        self._match()
        self._steps.run("outcome", "tell")
        changes = {"late": late}
        if not is_silent:
            changes |= {name: self._table(f"told_{name}", columns) for name, columns in _TOLD.items()}
        answers_old = has_progressed and bool(self._steps.rows["interaction"])
        if closes is not None:
            self._set_closed(closes)
        is_forgetting = closes is not None and self._has_old()
        if answers_old or not is_last:
            if is_forgetting:
                self._close()
            self._steps.run("remember")
        if answers_old:
            self._steps.run("settle_pending")
            if not is_silent:
                settled = self._table("told_pending", _TOLD["interaction"])
                changes["interaction"] = pa.concat_tables([changes["interaction"], settled])
        if is_forgetting:
            self._steps.empty("closed_evidence", "closed_conversation", "closed_activity")
            self._forget()
        self._steps.release(_LARGE)
        self._steps.renew(_LARGE)
        return Changes(version, changes)

    def pairs(self) -> list[Pair]:
        """Return the candidate pairs among what the last fold matched, best first."""
        crowd = self._meet_crowd(*self._states())
        ranked = dict.fromkeys(pair[:3] for pair in self._ranked_pairs(crowd))
        return [Pair(activity_id, f"{i_key:016x}", TIER_NAMES[(cost >> 60) - 1]) for cost, activity_id, i_key in ranked]

    def retire(self, through: datetime) -> None:
        """Forget what can no longer change, given that every fact of event time before `through` was folded.

        What is pending is never forgotten: a feed that stands still keeps its interactions open.
        """
        self._set_closed(through)
        self._forget()

    def _forget(self) -> None:
        self._show_scope("state")
        states = self._states()
        self._leave_in_doubt(self._find_candidates(*states), *states)
        self._steps.run("keep", "forget")
        self._steps.release(_LARGE)

    def save(self) -> EngineState:
        """Return all that outlives a fold."""
        return EngineState(
            read_tables(self._db),
            {name: self._steps.rows[name] for name in (*STATE_TABLES, *LASTING)},
            tuple(sorted(self._known_endpoints)),
            self._complete_through,
            self._closed_through,
        )

    def restore(self, state: EngineState) -> None:
        """Go on as the engine that saved the state, given the same settings; nothing may have been folded before.

        Raises:
            ValueError: when the state is of another version of the engine.
        """
        if state.layout != LAYOUT:
            raise ValueError(f"a state of layout {state.layout}, expected {LAYOUT}")
        write_tables(self._db, state.tables)
        self._steps.rows.update(state.rows)
        self._known_endpoints.update(state.known_endpoints)
        self._group_numbers = {
            (team, function): group_no
            for group_no, team, function in self._db.execute("FROM group_row ORDER BY group_no").fetchall()
        }
        self._whos_who = WhosWho(self._directory(), self._group_numbers)
        self._set_complete(state.complete_through)
        if state.closed_through is not None:
            self._set_closed(state.closed_through)

    def sizes(self) -> dict[str, int]:
        """Return how many interactions, observations and activities are open, and how many contacts are known."""
        counts = ", ".join(f"(SELECT count(*) FROM {name})" for name in _SIZED)
        interactions, legs, copies, activities, contacts = self._db.execute(f"SELECT {counts}").fetchall()[0]
        return {
            "interaction": interactions,
            "observation": legs + copies,
            "activity": activities,
            "contact": contacts,
        }

    def _has_old(self) -> bool:
        """Return whether there is anything that can no longer change; after the outcomes of a fold are known."""
        self._steps.run("old")
        return bool(self._steps.rows["old"])

    def _close(self) -> None:
        """Leave in `closed_*` what of this fold need not be remembered."""
        states = self._states()
        self._leave_in_doubt(self._meet_crowd(*states), *states)
        self._steps.run("keep", "close")

    def _set_closed(self, through: datetime) -> None:
        self._closed_through = through
        self._db.execute("SET VARIABLE closed_through = $1::TIMESTAMP", [through])

    def _leave_in_doubt(self, crowd: Crowd | None, activities: bytearray, interactions: bytearray) -> None:
        """Leave in `doubtful_*` what may still match otherwise, given the pairs of the scope.

        Open are activities that may still get an interaction, and interactions whose window or question is open.
        """
        for number in self._column(
            "SELECT a_no FROM scope_activity WHERE logged_to + getvariable('before') >= getvariable('closed_through')"
        ):
            activities[number] = DOUBTFUL
        for number in self._column(
            f"SELECT i_no FROM {'scope_interaction' if self._shown == 'state' else 'judged_interaction'} "
            "WHERE window_ends_at >= getvariable('closed_through') OR outcome = 'pending'"
        ):
            interactions[number] = DOUBTFUL
        assign(self._fetch_pairs(crowd), activities, interactions)
        for name, column, states in (("activity", "a_no", activities), ("interaction", "i_no", interactions)):
            doubtful = [(number,) for number, state in enumerate(states) if state == DOUBTFUL]
            self._insert(f"doubtful_{name}", doubtful, columns=f"{column} BIGINT")

    # -- settings and directory ---------------------------------------------------------------------------------------

    def _set_variables(self) -> None:
        settings = self.settings
        lengths = {
            "before": settings.before,
            "same_representative_after": settings.same_representative_after,
            "other_representative_after": settings.other_representative_after,
            "inferred_after": settings.inferred_after,
            "window_after": settings.window_after,
            "merge_tolerance": settings.merge_tolerance,
        }
        for name, length in lengths.items():
            self._db.execute(f"SET VARIABLE {name} = to_microseconds({length // _MICROSECOND})")
        for tier in TIER_NAMES:
            self._db.execute(f"SET VARIABLE has_{tier} = {tier in settings.tiers}")
        self._db.execute(f"SET VARIABLE too_short_seconds = {settings.too_short_seconds!r}::DOUBLE")
        self._db.execute(f"SET VARIABLE crowd_pairs = {CROWD_PAIRS}")
        self._db.execute(f"SET VARIABLE bulk_recipients = {settings.bulk_recipients}")
        self._db.execute("SET VARIABLE company_id = $1", [settings.company_id])
        self._db.execute("SET VARIABLE own_domains = $1::VARCHAR[]", [sorted(settings.own_domains)])
        self._db.execute("SET VARIABLE never_log = $1::VARCHAR[]", [sorted(settings.never_log)])
        self._set_complete(None)

    def _fold_directory(self) -> bool:
        """Add directory entries and CRM users; return whether anybody may now be somebody else."""
        changed = False
        for kind, columns in (("directory_entry", "*"), ("crm_user", "user_id, email_token")):
            if self._steps.rows[f"incoming_{kind}"]:
                changed |= bool(
                    self._count(
                        f"INSERT INTO {kind} SELECT {columns} FROM incoming_{kind} EXCEPT SELECT {columns} FROM {kind}"
                    )
                )
        if changed:
            self._read_directory()
        return changed

    def _read_directory(self) -> None:
        self._whos_who = WhosWho(self._directory(), self._group_numbers)
        self._steps.empty("endpoint_row", "token_row", "representative_row")
        self._known_endpoints.clear()
        self._insert("token_row", self._whos_who.token_rows())
        self._insert("representative_row", self._whos_who.representative_rows())
        self._number_groups()
        self._steps.run("people")

    def _directory(self) -> list[dict[str, Any]]:
        cursor = self._db.execute("SELECT * FROM directory_entry")
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def _number_groups(self) -> None:
        """Show new numbers of teams and functions to the steps."""
        new = list(self._group_numbers.items())[self._steps.rows["group_row"] :]
        self._insert("group_row", [(group_no, team, function) for (team, function), group_no in new])

    def _learn_endpoints(self) -> None:
        """Look up devices that fresh legs name for the first time."""
        columns = ", ".join(_ENDPOINTS)
        readmitted = self._steps.rows["readmitted_leg"]
        legs = self._db.sql(f"SELECT {columns} FROM {'readmitted_leg' if readmitted else 'incoming_observation'}")
        table = legs.to_arrow_table()
        named = {name for column in _ENDPOINTS for name in pc.unique(table[column]).to_pylist()}
        unknown = sorted(named - self._known_endpoints - {None})
        if unknown:
            self._insert("endpoint_row", self._whos_who.endpoint_rows(unknown))
            self._known_endpoints.update(unknown)
            self._number_groups()

    def _share_out(self, rows: int) -> None:
        """Use one thread for a handful of facts: sharing them out costs more than it saves."""
        threads = self._threads if rows >= _WORTH_THREADS else 1
        if threads != self._threads_in_use:
            self._db.execute(f"SET threads = {threads}")
            self._threads_in_use = threads

    def _receive(self, facts: Mapping[str, pa.Table]) -> None:
        """Show the batch to the steps as `incoming_*`."""
        for kind, schema in SCHEMAS.items():
            table = facts.get(kind)
            count = 0 if table is None else table.num_rows
            if table is not None and (count or self._steps.rows[f"incoming_{kind}"]):
                self._db.register(f"incoming_{kind}", table.select(schema.names))
            elif self._steps.rows[f"incoming_{kind}"]:
                self._db.register(f"incoming_{kind}", schema.empty_table())
            self._steps.rows[f"incoming_{kind}"] = count
        observations = facts.get("observation", SCHEMAS["observation"].empty_table())
        self._steps.rows["incoming_mail"] = int(pc.any(pc.equal(observations["channel"], "email")).as_py() or False)
        raw_ids = observations["raw_id"]
        self._steps.rows["delivered_twice"] = len(raw_ids) - pc.count_distinct(raw_ids).as_py()
        other_keys = observations["other_keys"]
        self._steps.rows["incoming_other_keys"] = len(other_keys) - other_keys.null_count
        activities = facts.get("activity")
        if activities is not None and pc.any(pc.equal(activities["kind"], "ticket")).as_py():
            self._steps.rows["has_ticket"] = 1
        several = activities is not None and any(
            (pc.max(pc.list_value_length(activities[name])).as_py() or 0) > 1 for name in ("contact_ids", "account_ids")
        )
        self._steps.rows["tied_to_several"] = int(several)

    # -- customers and activities -------------------------------------------------------------------------------------

    def _fold_customers(self) -> None:
        """Add contacts and accounts; leave the tokens, domains and contacts they change in `changed_*`."""
        self._steps.run("customers")

    def _fold_activities(self, everybody: bool) -> None:
        """Add activities; leave those that are new or tied to somebody else in `changed_activity`."""
        self._steps.run("latest_activities")
        self._steps.rows["restated_activity"] = 0
        if everybody:
            self._work_out_again("true")
        elif self._steps.rows["changed_contact"] or self._steps.rows["changed_account"]:
            self._work_out_again(
                "kind = 'ticket' "
                "OR list_has_any(contact_ids, (SELECT coalesce(list(contact_id), []) FROM changed_contact))"
            )
        self._steps.run("activities")

    def _work_out_again(self, condition: str) -> None:
        """Let `changed_activity` hold the activities of a kind too whose facts did not change."""
        restated = self._count(
            "INSERT INTO changed_activity BY NAME "
            f"SELECT * FROM activity_fact ANTI JOIN changed_activity USING (activity_id) WHERE {condition}"
        )
        self._steps.rows["restated_activity"] = restated
        self._steps.rows["changed_activity"] += restated

    def _fold_progress(self) -> bool:
        """Note how far the CRM feeds have been read; return whether that is news."""
        if not self._steps.rows["incoming_feed_progress"]:
            return False
        self._steps.run("progress")
        reached = self._column("SELECT min(complete_through) FROM feed_progress")[0]
        if reached == self._complete_through:
            return False
        self._set_complete(reached)
        return True

    def _set_complete(self, reached: datetime | None) -> None:
        self._complete_through = reached
        self._db.execute("SET VARIABLE complete_through = $1::TIMESTAMP", [reached])

    # -- observations -------------------------------------------------------------------------------------------------

    def _close_late(self) -> pa.Table:
        """Take facts of a time that is closed out of the batch; return their raw_ids."""
        if self._steps.rows["late_fact"]:
            self._steps.empty("late_fact")
        if self._closed_through is not None:
            self._steps.run("late")
        return self._table("late_fact")

    def _fold_observations(self, everybody: bool) -> None:
        """Attribute fresh observations and put conversations together anew in `scope_conversation_row`."""
        self._steps.run("admit")
        self._admit_legs(everybody)
        self._db.execute(f"SET VARIABLE everybody = {everybody}")
        self._steps.rows["everybody"] = int(everybody)
        self._label_conversations()
        if self._steps.rows["fresh_leg"]:
            self._learn_endpoints()
        self._steps.run("attribute", "gather", "assemble_legs", "assemble_mail", "exclude")

    def _admit_legs(self, everybody: bool) -> None:
        """Let `fresh_leg` be the new legs of the batch, and all old ones too when the directory changed."""
        self._steps.rows["fresh_leg"] = self._steps.rows["incoming_observation"]
        self._steps.rows["readmitted_leg"] = 0
        unique = "DISTINCT ON (raw_id)" if self._steps.rows["delivered_twice"] else ""
        query = _FRESH_LEGS.format(unique=unique)
        if everybody and self._steps.rows["leg"]:
            self._db.execute(f"CREATE OR REPLACE TEMP TABLE readmitted_leg AS {query}")
            self._db.execute("CREATE OR REPLACE TEMP VIEW fresh_leg AS SELECT * FROM readmitted_leg")
            self._steps.run("readmit")
            self._steps.rows["fresh_leg"] += self._steps.rows["readmitted_leg"]
        elif self._steps.rows["fresh_leg"]:
            self._db.execute(f"CREATE OR REPLACE TEMP VIEW fresh_leg AS {query}")

    def _label_conversations(self) -> None:
        """Join keys that stand for one conversation; leave labels that changed in `relabelled`."""
        edges = []
        if self._steps.rows["fresh_edge"]:
            edges = self._db.execute("SELECT a, b, key_a, key_b FROM fresh_edge").fetchall()
        labels = join_labels((a, b) for a, b, _, _ in edges)
        changed = [(old, new) for old, new in labels.items() if old != new]
        self._insert("relabelled", changed, columns="old VARCHAR, new VARCHAR")
        keys = {key: labels[a] for a, _, key, _ in edges} | {key: labels[b] for _, b, _, key in edges}
        self._insert("labelled_key", list(keys.items()), columns="key VARCHAR, conversation_id VARCHAR")
        if edges:
            self._steps.run("relabel")

    # -- interactions -------------------------------------------------------------------------------------------------

    def _compose(self) -> None:
        """Merge calls seen by two systems and leave the interactions to be told in `draft_interaction`."""
        self._steps.run("call_sources")
        if self._steps.rows["call_source"] > 1:
            self._steps.run("touched_tokens")
        roots: list[tuple[str, str]] = []
        if self._steps.rows["scope_token"]:
            self._steps.run("merge_pairs")
            calls = [
                Call(conversation_id, source, line_order, frozenset(participants))
                for conversation_id, source, line_order, participants in self._db.execute(
                    "SELECT conversation_id, source, line_order, participants FROM merge_member"
                ).fetchall()
            ]
            overlaps = self._db.execute("SELECT a, b, distance FROM merge_pair").fetchall()
            roots = list(merge(calls, overlaps).items()) if overlaps else [(c.conversation_id,) * 2 for c in calls]
        self._insert("merged", roots, columns="conversation_id VARCHAR, root_id VARCHAR")
        self._steps.run("deduplicate", "compose", "identify")

    # -- matching -----------------------------------------------------------------------------------------------------

    def _find_scope(self) -> None:
        """Find every interaction and activity whose match the changed ones may affect."""
        rows = self._steps.rows
        self._steps.run("nodes")
        while (rows["node_edge"] or rows["fresh_node_edge"]) and self._grows("scope_node", "spread_nodes"):
            pass
        self._steps.run("scope")
        if "inferred" in self.settings.tiers and self._has_strangers():
            self._steps.run("scope_representatives")
            while rows["scope_representative"] and self._grows("scope_representative", "spread_representatives"):
                pass
        self._show_scope("draft")

    def _has_strangers(self) -> bool:
        """Return whether there ever was an interaction whose identifier the CRM does not know."""
        if self._steps.rows["draft_interaction"] and not self._steps.rows["has_stranger"]:
            query = "SELECT count(*) FROM draft_interaction WHERE len(customer_ids) = 0"
            self._steps.rows["has_stranger"] = self._count(query)
        return bool(self._steps.rows["has_stranger"])

    def _show_scope(self, kind: Literal["draft", "state"]) -> None:
        """Let the steps see drafts or state, with row numbers, as `scope_interaction` and `scope_activity`."""
        rows = self._steps.rows
        if kind == "draft":
            self._db.execute(f"SET VARIABLE draft_count = {rows['draft_interaction']}")
            rows["scope_interaction"] = rows["draft_interaction"] + rows["old_interaction"]
            rows["scope_activity"] = rows["draft_activity"]
        else:
            rows["scope_interaction"], rows["scope_activity"] = rows["interaction"], rows["activity"]
        if kind != self._shown:
            for name, query in _SCOPES[kind].items():
                self._db.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {query}")
        self._shown = kind

    def _grows(self, table: str, step: str) -> bool:
        """Run a step that carries a scope over; return whether it reached anything new."""
        before = self._steps.rows[table]
        self._steps.run(step)
        return self._steps.rows[table] > before

    def _match(self) -> None:
        states = self._states()
        crowd = self._find_candidates(*states)
        taken = assign(self._fetch_pairs(crowd), *states) if self._steps.rows["candidate"] else []
        self._insert("assigned", taken, columns="tier BIGINT, a_no BIGINT, i_no BIGINT")

    def _states(self) -> tuple[bytearray, bytearray]:
        """Return a state for each number of an activity and of an interaction in scope: free, all of them."""
        (last_activity,) = self._column("SELECT max(a_no) FROM scope_activity")
        (last_interaction,) = self._column("SELECT max(i_no) FROM scope_interaction")
        return bytearray((last_activity or 0) + 1), bytearray((last_interaction or 0) + 1)

    def _find_candidates(self, activities: bytearray, interactions: bytearray) -> Crowd | None:
        """Find the pairs. Of a crowd, `candidate` holds only the best pair of each activity."""
        rows = self._steps.rows
        rows["many_pairs"] = int(rows["scope_activity"] * rows["scope_interaction"] > CROWD_PAIRS)
        self._steps.run("candidates")
        crowd = self._meet_crowd(activities, interactions)
        if crowd is not None:
            best = [(a_no, i_no, cost) for cost, _, _, a_no, i_no in crowd.best_pairs()]
            self._insert("best_pair", best, columns="a_no BIGINT, i_no BIGINT, cost BIGINT")
            self._steps.run("best_pairs")
        if "inferred" in self.settings.tiers and rows["has_stranger"]:
            self._steps.run("infer")
        return crowd

    def _meet_crowd(self, activities: bytearray, interactions: bytearray) -> Crowd | None:
        """Return the pairs of customers that have too many to write down, if there are such customers."""
        if not self._steps.rows["crowd"]:
            return None
        activities_of_crowd = [
            Activity(*row, owners=frozenset([*people, *((team,) for team in teams)]))
            for row, people, teams in self._rows_and_owners("crowd_activity")
        ]
        interactions_of_crowd = [
            Interaction(*row, owners=frozenset(people or ([(team,)] if team else [])))
            for row, people, team in self._rows_and_owners("crowd_interaction")
        ]
        after = {
            "same_representative": (SAME_REPRESENTATIVE, self.settings.same_representative_after),
            "other_representative": (OTHER_REPRESENTATIVE, self.settings.other_representative_after),
        }
        windows = Windows(
            before=self.settings.before // _MICROSECOND,
            after={
                tier: length // _MICROSECOND for name, (tier, length) in after.items() if name in self.settings.tiers
            },
        )
        return Crowd(activities_of_crowd, interactions_of_crowd, windows, activities, interactions)

    def _rows_and_owners(self, table: str) -> Iterator[tuple[tuple[Any, Any, Any, Any, Any, Any], Any, Any]]:
        for a, b, c, d, e, f, people, teams in self._db.execute(f"SELECT * FROM {table}").fetchall():
            yield (a, b, c, d, e, f), people, teams

    def _fetch_pairs(self, crowd: Crowd | None) -> Iterator[tuple[int, int, int]]:
        """Yield tier, activity and interaction of the pairs, best first."""
        if crowd is not None:
            return ((cost >> 60, a_no, i_no) for cost, _, _, a_no, i_no in self._ranked_pairs(crowd))
        return self._candidates("cost >> 60, a_no, i_no")

    def _ranked_pairs(self, crowd: Crowd | None) -> Iterator[RankedPair]:
        pairs = self._candidates("cost, activity_id, i_key, a_no, i_no")
        return heapq.merge(pairs, crowd.pairs()) if crowd is not None else pairs

    def _candidates(self, columns: str) -> Iterator[Any]:
        """Return columns of all pairs that are written down, best first."""
        table = self._db.sql(f"SELECT {columns} FROM candidate ORDER BY cost, activity_id, i_key").to_arrow_table()
        return zip(*(column.to_pylist() for column in table.columns), strict=True)

    # -- connection ---------------------------------------------------------------------------------------------------

    def _count(self, query: str) -> int:
        return int(self._db.execute(query).fetchall()[0][0])

    def _column(self, query: str) -> list[Any]:
        return [row[0] for row in self._db.execute(query).fetchall()]

    def _table(self, name: str, columns: str = "*") -> pa.Table:
        """Return a table's rows. Empty tables are kept: their columns never change."""
        if self._steps.rows[name] or name not in self._empty:
            table = self._db.sql(f"SELECT {columns} FROM {name}").to_arrow_table()
            self._empty[name] = table.slice(0, 0)
            return table
        return self._empty[name]

    def _insert(self, table: str, rows: Sequence[tuple[object, ...]], columns: str = "") -> None:
        """Append rows to a table, through Arrow; with `columns` to a temporary one that holds only them."""
        if columns and (self._steps.rows[table] or table not in self._made):
            self._db.execute(f"CREATE OR REPLACE TEMP TABLE {table} ({columns})")
            self._made.add(table)
        self._steps.rows[table] = len(rows) + (0 if columns else self._steps.rows[table])
        if rows:
            columns_of = {f"c{n}": pa.array([row[n] for row in rows]) for n in range(len(rows[0]))}
            self._db.register("rows", pa.table(columns_of))
            self._db.execute(f"INSERT INTO {table} SELECT * FROM rows")
            self._db.unregister("rows")
