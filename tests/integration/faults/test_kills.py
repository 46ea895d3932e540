"""kill -9 of every process and of the broker while records come in: the store ends as a replay's."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from agents.broker import start_broker
from schemas.kafka import KafkaSettings
from tests.integration.arrivals import parts
from tests.integration.chaos import ROLES, Chaos, assert_exact, small_company, small_records, small_rows
from tests.integration.live import Pipeline

TIMES = 3


def test_what_is_killed_at_any_moment_loses_and_repeats_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected, records = small_rows(), small_records()
    roles = list(ROLES) * TIMES
    Random(1).shuffle(roles)
    with start_broker(tmp_path / "broker", kind="kafka") as broker:
        settings = KafkaSettings(bootstrap=(broker.bootstrap,), prefix="kills.")
        with Pipeline(settings, small_company(), tmp_path / "live") as pipeline:
            for name in ("sink", "ingest", "correlate"):
                pipeline.start(name)
            chaos = Chaos(pipeline, broker)
            first, *others = parts(records, len(roles) + 1)
            pipeline.publish(first)
            for role, part in zip(roles, others, strict=True):
                chaos.kill(role, part)
            assert_exact(pipeline, expected)
    with capsys.disabled():
        print(f"\n{chaos.table()}")
