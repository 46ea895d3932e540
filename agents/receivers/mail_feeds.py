"""Where records of mail that is received belong: each message is read as a message file."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from agents.receivers.site import Site
from pipeline.received import Feed
from pipeline.sources.registry import by_name


def mail_feed(site: Site, source: str, file: str) -> Feed:
    """Return where the messages of a source belong. `file`: the name under which they count."""
    return Feed(source=source, file=file, parser=by_name("eml"), zone=ZoneInfo(site.zone))
