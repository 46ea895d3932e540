"""The simplest form of the job as a stream program in Quix Streams: a reference for speed, not for the number.

Calls and activities of a customer meet in one state; an activity explains the nearest call of the last 72 hours. It
leaves out identity, duplicates, teams, tiers, pending, the store and whatever else makes the number true. Runs in an
environment of its own, see requirements/quix.txt: python benchmarks/quix_program.py BOOTSTRAP PREFIX COUNT
"""

from __future__ import annotations

import sys
import time
from datetime import datetime

from quixstreams import Application  # type: ignore[import-not-found]  # in an environment of its own

WINDOW_SECONDS = 72 * 3600


def main() -> None:
    """Read so many records and print how many a second they were."""
    bootstrap, prefix, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    app = Application(
        broker_address=bootstrap, consumer_group=f"{prefix}quix", auto_offset_reset="earliest", loglevel="ERROR",
        use_changelog_topics=False, auto_create_topics=True,
    )  # fmt: skip
    records = app.dataframe(app.topic(f"{prefix}quix", value_deserializer="json", key_deserializer="str"))
    traced = app.topic(f"{prefix}quix-out", value_serializer="json")
    seen = 0
    begun = 0.0

    def match(record, state):  # type: ignore[no-untyped-def]
        nonlocal seen, begun
        begun = begun or time.perf_counter()
        seen += 1
        waiting = state.get("calls", [])
        if record["kind"] == "call":
            ended = datetime.fromisoformat(record["ended_at"]).timestamp()
            waiting = [call for call in waiting if ended - call[1] <= WINDOW_SECONDS]
            waiting.append((record["call_id"], ended))
            state.set("calls", waiting)
            return {"call_id": record["call_id"], "outcome": "open"}
        if record["kind"] != "activity" or not waiting:
            return None
        logged = datetime.fromisoformat(record["logged_at"]).timestamp()
        best = min(waiting, key=lambda call: abs(logged - call[1]))
        waiting.remove(best)
        state.set("calls", waiting)
        return {"call_id": best[0], "outcome": "traced", "activity_id": record["activity_id"]}

    outcomes = records.apply(match, stateful=True)
    outcomes[outcomes.apply(lambda outcome: outcome is not None)].to_topic(traced)
    app.run(count=count)
    print(f"{seen / (time.perf_counter() - begun):.0f}")


if __name__ == "__main__":
    main()
