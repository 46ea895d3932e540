"""The simplest form of the mail job: the reference that reading mail is held to.

Every mbox of a folder through the standard library, one message per Message-ID, the customer's address by what is not
our domain. Prints messages, distinct messages and distinct customers.

    python -m benchmarks.plain_mail DIR
"""

from __future__ import annotations

import mailbox
import sys
from collections import Counter
from email.parser import BytesHeaderParser
from email.utils import getaddresses, parseaddr, parsedate_to_datetime
from pathlib import Path

OWN_DOMAIN = "benchmark.example"


def main(folder: Path) -> None:
    parser = BytesHeaderParser()
    count = 0
    messages = {}
    for path in sorted(folder.glob("**/*.mbox")):
        box = mailbox.mbox(path, create=False)
        for key in box.iterkeys():
            headers = parser.parsebytes(box.get_bytes(key))
            sender = parseaddr(str(headers["From"]))[1].lower()
            receivers = [address.lower() for _, address in getaddresses([str(headers["To"])])]
            outside = [a for a in [sender, *receivers] if not a.endswith("@" + OWN_DOMAIN)]
            count += 1
            if outside:
                messages[str(headers["Message-ID"])] = (parsedate_to_datetime(str(headers["Date"])), outside[0])
    customers = Counter(customer for _, customer in messages.values())
    print(f"{count:,} messages, {len(messages):,} different, {len(customers):,} customers")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
