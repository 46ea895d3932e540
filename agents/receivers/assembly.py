"""Receivers as a configuration names them: everything that can be wrong with it is found before anything is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from agents.receivers.ami_listener import prepare_ami
from agents.receivers.files import prepare_files
from agents.receivers.imap_watcher import prepare_imap
from agents.receivers.outbox import Outbox
from agents.receivers.positions import Positions
from agents.receivers.reading import Reader
from agents.receivers.running import Receiver
from agents.receivers.site import Entry, Prepare, Site
from agents.receivers.smtp_server import prepare_smtp
from agents.receivers.webhook_senders import prepare_webhooks
from pipeline.errors import ConfigurationError
from schemas.settings import Configuration

# By kind, in the order in which they are opened. Kinds that one function prepares share something, such as a server.
_PREPARE: Final[Mapping[str, Prepare]] = {
    "file": prepare_files,
    "webhook": prepare_webhooks,
    "freeswitch": prepare_webhooks,
    "twilio": prepare_webhooks,
    "meta": prepare_webhooks,
    "smtp": prepare_smtp,
    "graph": prepare_webhooks,
    "imap": prepare_imap,
    "ami": prepare_ami,
}


class Assembly:
    """The receivers of a configuration, ready to be made. Files are relative to `base`."""

    def __init__(
        self, configuration: Configuration, base: Path, environment: Mapping[str, str], tell: Callable[[str], None]
    ) -> None:
        """
        Raises:
            ConfigurationError: when there is none, a format is unknown, or two would read the same.
        """
        if not configuration.receiver:
            raise ConfigurationError(
                'nothing to receive: the configuration has no [[receiver]]; for example kind = "file", '
                'source = "pbx", format = "asterisk_cdr", path = "/var/log/asterisk/cdr-csv/Master.csv"'
            )
        site = Site(base, environment, configuration.company.timezone, configuration.receive, tell)
        entries = [
            Entry(f"[[receiver]] number {number}", settings)
            for number, settings in enumerate(configuration.receiver, start=1)
        ]
        self._makers = [
            make
            for prepare in dict.fromkeys(_PREPARE.values())
            for make in prepare(site, [entry for entry in entries if _PREPARE[entry.settings.kind] is prepare])
        ]

    def make(self, positions: Positions, outbox: Outbox, reader: Reader) -> Sequence[Receiver]:
        """Return the receivers."""
        return [make(positions, outbox, reader) for make in self._makers]
