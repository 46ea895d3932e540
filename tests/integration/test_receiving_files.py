"""Files followed into a real broker's topics, by the process that users start."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from pipeline.sources.registry import by_name
from schemas.kafka import KafkaSettings
from tests import parsing
from tests.acme import AALTO, BERG, cdr
from tests.integration.receiving import receiving, wait_for

CONFIGURATION = """
[[receiver]]
kind = "file"
source = "pbx"
path = "Master.csv"
format = "asterisk_cdr"

[[receiver]]
kind = "file"
source = "pbx"
path = "queue_log"
format = "asterisk_queue_log"
"""
# One caller waited twelve seconds and talked for ninety with Agent 202.
QUEUE_LINES = (
    "1709539200|1709539200.20|support|NONE|ENTERQUEUE||0401234567|1",
    "1709539212|1709539200.20|support|Agent 202|CONNECT|12|1709539212.21|3",
    "1709539302|1709539200.20|support|Agent 202|COMPLETEAGENT|12|90|1",
)


def calls(first: int, count: int) -> list[str]:
    begun = datetime(2024, 3, 4, 9)
    return [
        cdr(str(begun + timedelta(minutes=number)), (AALTO, BERG)[number % 2], "201", 60, number)
        for number in range(first, first + count)
    ]


def test_lines_come_to_the_topics_as_the_parser_reads_them_from_the_whole_file(
    kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    master, queue = tmp_path / "Master.csv", tmp_path / "queue_log"
    master.write_text("".join(f"{line}\n" for line in calls(0, 3)) + "too,few\n")
    with receiving(tmp_path, kafka_settings, CONFIGURATION) as process:
        wait_for(lambda: len(process.messages()) == 4)
        with master.open("a") as stream:
            stream.write("".join(f"{line}\n" for line in calls(3, 2)))
        wait_for(lambda: len(process.messages()) == 6)
        for number, line in enumerate(QUEUE_LINES, 1):
            # Each line alone: the last one is understood by the first, which was published long before.
            with queue.open("a") as stream:
                stream.write(f"{line}\n")
            wait_for(lambda: len(process.messages()) == 6 + number)  # noqa: B023
        taken = process.taken()
        code, took = process.end()
    assert (code, took < 10) == (0, True)

    whole = [
        row
        for path, parser in ((master, "asterisk_cdr"), (queue, "asterisk_queue_log"))
        for row in parsing.rows(by_name(parser).read(path, parsing.context(path, source="pbx")))
    ]
    found = taken.facts["observation"].drop_columns(["file", "format"]).to_pylist()
    for row in (*whole, *found):
        # Tokens are made with another key; a followed file's name has its generation's behind it.
        for name in row:
            if name.endswith("_token"):
                row[name] = row[name] is not None
        row["raw_id"] = row["raw_id"].replace(row["raw_id"].split(":")[1], row["raw_id"].split(":")[1].split("@")[0])
        row["key"] = row["key"] if "." in row["key"] else None
    assert sorted(map(repr, found)) == sorted(map(repr, whole))
    (letter,) = taken.letters
    assert (letter.letter.position, letter.letter.unit) == (4, "line")
    assert letter.letter.file.startswith("Master.csv@")
