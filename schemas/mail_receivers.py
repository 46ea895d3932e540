"""Receivers of mail: copies that a mail server sends, and mailboxes that are looked into."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from schemas.receiver import ReceiverTable
from schemas.settings_values import VARIABLE_PATTERN, Duration

_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")


def _network(value: str) -> str:
    try:
        return str(ip_network(value))
    except ValueError:
        raise ValueError("an address or a network such as '192.0.2.0/24'") from None


_Network = Annotated[str, AfterValidator(_network)]


class SmtpReceiver(ReceiverTable):
    """`[[receiver]]` of kind smtp: a mail server sends a copy of every message."""

    kind: Literal["smtp"] = Field(description="Takes in copies of mail over SMTP.", examples=["smtp"])
    host: str = Field(
        default="127.0.0.1", min_length=1, description="Address at which it listens.", examples=["127.0.0.1"]
    )
    port: int = Field(
        default=2525, ge=0, le=65535, description="Port of it; 0 takes a free one and says which.", examples=[2525]
    )
    allowed_networks: list[_Network] = Field(
        default=["127.0.0.0/8", "::1/128"],
        min_length=1,
        description="Addresses and networks that may send; all others are turned away.",
        examples=[["192.0.2.25", "2001:db8::/64"]],
    )
    addresses: list[str] = Field(
        default=[],
        max_length=100,
        description="Addresses to which copies are sent: they are nobody's, and no recipients.",
        examples=[["journal@bypassflow.acme.fi"]],
    )
    journal_reports: bool = Field(
        default=False,
        description="Whether Exchange or Microsoft 365 sends them: the message inside a report counts then. Leave it "
        "off for other servers, whose copies anybody could make look like reports.",
        examples=[True],
    )
    largest_message: int = Field(
        default=150 * 1024 * 1024,
        ge=64 * 1024,
        le=2**31 - 1,
        description="What a message may have; nothing of it is kept but its header. Unit: bytes.",
        examples=[157_286_400],
    )
    recipients: int = Field(default=1_000, ge=1, le=100_000, description="Recipients of one message.", examples=[1_000])
    data_timeout: Duration = Field(
        default=timedelta(minutes=10), description="How long a message may take to come.", examples=["10min"]
    )
    idle_timeout: Duration = Field(
        default=timedelta(minutes=2), description="How long a sender may say nothing.", examples=["2min"]
    )
    connections: int = Field(
        default=50, ge=1, le=10_000, description="Connections at once; further ones are told to come again.",
        examples=[50],
    )  # fmt: skip
    messages_per_minute: int = Field(
        default=6_000,
        ge=1,
        le=1_000_000,
        description="Messages of one sender, on average over two seconds; further ones are told to come again.",
        examples=[6_000],
    )
    certificate_file: str | None = Field(
        default=None,
        min_length=1,
        description="Certificate with its chain (PEM), relative to the configuration: offers STARTTLS, and wants it.",
        examples=["mail.pem"],
    )
    key_file: str | None = Field(
        default=None,
        min_length=1,
        description="Its key (PEM), where it is not in the same file.",
        examples=["mail.key"],
    )
    username: str | None = Field(
        default=None, min_length=1, description="User name that senders have to sign in with.", examples=["journal"]
    )
    secret_env: str | None = Field(
        default=None,
        pattern=VARIABLE_PATTERN,
        description="Name of the environment variable that holds their password; never that itself.",
        examples=["JOURNAL_SECRET"],
    )
    secret_file: str | None = Field(
        default=None,
        min_length=1,
        description="File with their password alone, relative to the configuration.",
        examples=["journal.secret"],
    )

    @model_validator(mode="after")
    def _check(self) -> SmtpReceiver:
        given = (self.secret_env is not None) + (self.secret_file is not None)
        problem = ""
        if given != (self.username is not None):
            problem = "who signs in has a username and one of secret_env and secret_file; set both, or neither"
        elif self.key_file is not None and self.certificate_file is None:
            problem = "key_file needs certificate_file"
        elif self.username is not None and self.certificate_file is None and self.host not in _THIS_MACHINE:
            problem = "a password would cross the network in clear; set certificate_file, or listen at 127.0.0.1"
        elif min(self.data_timeout, self.idle_timeout) < timedelta(seconds=1):
            problem = "data_timeout and idle_timeout are one second at least"
        if problem:
            raise PydanticCustomError("inconsistent", "{problem}", {"problem": problem})
        return self


class ImapReceiver(ReceiverTable):
    """`[[receiver]]` of kind imap: a mailbox whose headers are fetched as messages come, and which is never changed."""

    kind: Literal["imap"] = Field(description="Looks into a mailbox over IMAP.", examples=["imap"])
    host: str = Field(min_length=1, description="Mail server.", examples=["imap.acme.fi"])
    port: int | None = Field(
        default=None, ge=1, le=65535, description="Its port. Default: 993, or 143 without tls.", examples=[993]
    )
    tls: Literal["tls", "starttls", "none"] = Field(
        default="tls",
        description="How the server is spoken to; none is for servers on this machine alone.",
        examples=["tls"],
    )
    ca_file: str | None = Field(
        default=None,
        min_length=1,
        description="Certificates that are trusted (PEM), where they are not the system's.",
        examples=["acme-ca.pem"],
    )
    username: str = Field(min_length=1, description="User name to sign in with.", examples=["sales@acme.fi"])
    authentication: Literal["password", "oauth2"] = Field(
        default="password",
        description="What the secret is: a password, or an access token for XOAUTH2.",
        examples=["oauth2"],
    )
    secret_env: str | None = Field(
        default=None,
        pattern=VARIABLE_PATTERN,
        description="Name of the environment variable that holds the secret; never that itself.",
        examples=["SALES_SECRET"],
    )
    secret_file: str | None = Field(
        default=None,
        min_length=1,
        description="File with the secret alone, relative to the configuration; read at each sign-in.",
        examples=["sales.secret"],
    )
    secret_command: list[str] | None = Field(
        default=None,
        min_length=1,
        description="Program and arguments that print the secret; run at each sign-in, for tokens that end.",
        examples=[["/usr/local/bin/mail-token", "sales"]],
    )
    mailbox: str | None = Field(
        default=None,
        min_length=3,
        description="Address of the mailbox, whom its mail was delivered to. Default: username, where that is one.",
        examples=["sales@acme.fi"],
    )
    folders: list[str] = Field(
        default=["INBOX", "\\Sent"],
        min_length=1,
        max_length=100,
        description="Folders by name, with * for any characters; \\Sent is what the server says is for sent mail. "
        "Folders for drafts and junk are looked into only under their own names.",
        examples=[["INBOX", "\\Sent"]],
    )
    begin: Literal["start", "end"] = Field(
        default="start",
        description="Where to begin at the first start: with all that is there, or behind it.",
        examples=["start"],
    )
    poll_interval: Duration = Field(
        default=timedelta(minutes=1),
        description="How often all folders are looked at. New mail in the first one is told by servers that know IDLE.",
        examples=["1min"],
    )

    @property
    def address(self) -> str | None:
        """Whose mailbox it is, lower-cased; None when nothing tells."""
        found = self.mailbox or (self.username if "@" in self.username else None)
        return found.lower() if found is not None else None

    @model_validator(mode="after")
    def _check(self) -> ImapReceiver:
        given = [self.secret_env, self.secret_file, self.secret_command]
        problem = ""
        if sum(place is not None for place in given) != 1:
            problem = "expected one of secret_env, secret_file and secret_command"
        elif self.tls == "none" and self.host not in _THIS_MACHINE:
            problem = 'the password would cross the network in clear; use tls = "tls" or "starttls"'
        elif self.mailbox is not None and "@" not in self.mailbox:
            problem = "mailbox is an address, such as 'sales@acme.fi'"
        elif not timedelta(seconds=1) <= self.poll_interval <= timedelta(minutes=25):
            problem = "poll_interval is between a second and 25 minutes"
        if problem:
            raise PydanticCustomError("inconsistent", "{problem}", {"problem": problem})
        return self
