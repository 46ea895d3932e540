"""The simplest form of the job, as an analyst would write it in an afternoon: the reference that a replay is held to.

The same files, the csv module, dictionaries, phonenumbers behind a cache. A call is a linkedid; its customer is the
contact with the same number; its trace is the nearest task on that contact within 72 hours, each used once. What it
leaves out is what a replay adds: queues, transfers, duplicates, other layouts and zones, directory dates, accounts of
every record, reasons, a store. It prints the share by team and writes nothing.

    python -m benchmarks.plain_script DIR
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import phonenumbers

BEFORE = timedelta(minutes=15)
AFTER = timedelta(hours=72)
TOO_SHORT = 5


@cache
def e164(text: str) -> str | None:
    if len(text) < 5:
        return None
    # The PBX dials 0 for an outside line; a number that it dialled then begins with 00 and a national 0 again.
    if text.startswith("00") and not text.startswith("00358"):
        text = text[1:]
    try:
        number = phonenumbers.parse(text, "FI")
    except phonenumbers.NumberParseException:
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def device(channel: str) -> str:
    """Return "2001" of "PJSIP/2001-0000002a"."""
    return channel.partition("/")[2].rpartition("-")[0]


def main(folder: Path) -> None:
    with open(folder / "directory.csv", newline="", encoding="utf-8") as file:
        people = list(csv.DictReader(file))
    person_of_extension = {person["extension"]: person for person in people}
    id_of_address = {person["email"]: person["representative_id"] for person in people}

    with open(folder / "salesforce" / "User.csv", newline="", encoding="utf-8") as file:
        representative_of_user = {row["Id"]: id_of_address.get(row["Email"]) for row in csv.DictReader(file)}

    contact_of_number = {}
    with open(folder / "salesforce" / "Contact.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for text in (row["Phone"], row["MobilePhone"]):
                number = e164(text)
                if number:
                    contact_of_number[number] = row["Id"]

    tasks_of_contact = defaultdict(list)
    exported_until = datetime.min
    with open(folder / "salesforce" / "Task.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["IsDeleted"] == "true":
                continue
            logged = datetime.fromisoformat(row["CreatedDate"][:19])
            exported_until = max(exported_until, logged)
            owner = representative_of_user.get(row["OwnerId"])
            tasks_of_contact[row["WhoId"]].append((logged, owner, row["Id"]))

    # linkedid -> outside number, start, end, seconds of talk, who talked
    calls: dict[str, tuple[str | None, datetime, datetime, int, dict[str, str]]] = {}
    with open(folder / "asterisk" / "Master.csv", newline="", encoding="utf-8") as file:
        for record in csv.reader(file):
            if record[14] != "ANSWERED":
                continue
            caller = person_of_extension.get(device(record[5]))
            called = person_of_extension.get(device(record[6]))
            if (caller is None) == (called is None):
                continue  # inside the house, or nobody of ours
            talk = int(record[13])
            linkedid = record[19]
            known = calls.get(linkedid)
            if known is None or talk > known[3]:
                number = e164(record[1] if called else record[2])
                start, end = datetime.fromisoformat(record[9]), datetime.fromisoformat(record[11])
                calls[linkedid] = (number, start, end, talk, called or caller or {})

    counts: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    used = set()
    for number, start, end, talk, person in sorted(calls.values(), key=lambda call: call[1]):
        if talk < TOO_SHORT or end + AFTER > exported_until:
            continue
        nearest = None
        for logged, owner, task in tasks_of_contact.get(contact_of_number.get(number or "") or "", ()):
            if start - BEFORE <= logged <= end + AFTER and task not in used:
                distance = (owner != person["representative_id"], abs(logged - end))
                if nearest is None or distance < nearest[0]:
                    nearest = (distance, task)
        if nearest:
            used.add(nearest[1])
        counts[person["team"]][0] += 1
        counts[person["team"]][1] += nearest is None

    for team, (interactions, bypassed) in sorted(counts.items()):
        print(f"{team:20} {interactions:10,} {bypassed:10,} {bypassed / interactions:8.1%}")
    interactions, bypassed = (sum(column) for column in zip(*counts.values(), strict=True)) if counts else (0, 0)
    print(f"{'all':20} {interactions:10,} {bypassed:10,} {bypassed / max(interactions, 1):8.1%}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
