"""`[kafka]`: where the broker of the live pipeline is, how it is reached, and what topics it keeps.

A configuration names secrets and never holds them: a file, or a variable of the environment. Whoever starts a process
reads them and hands them on as `Secrets`. Nothing here imports a client of Kafka.
"""

from __future__ import annotations

import os.path
import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, Strict, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from schemas.settings_values import Duration, SettingsTable
from schemas.topics import (
    CHECKPOINTS,
    DEAD_LETTERS,
    FACTS,
    MAX_MESSAGE_BYTES,
    OUTCOMES,
    RAW_TOPICS,
    Topic,
)

SecurityProtocol = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]

# What a broker and a client measure is a message with its key, its headers and the head of its batch.
LARGEST_REQUEST_BYTES: Final = MAX_MESSAGE_BYTES + 100_000

_ADDRESS = re.compile(r"(?:\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+):(?P<port>\d{1,5})")
_SHORTEST_RETENTION: Final = timedelta(hours=1)
# Kafka deletes whole segments: a record leaves at the latest so much after its retention.
_LONGEST_SEGMENT: Final = timedelta(days=1)
# Superseded checkpoints are large; small segments let the cleaner get at them soon.
_COMPACTED_SEGMENT_BYTES: Final = 64 * 1024 * 1024
_FILES = ("password_file", "token_file", "ca_file", "certificate_file", "key_file")


def parse_bootstrap(value: object) -> object:
    """Return a list of addresses; one text may hold several, with commas.

    >>> parse_bootstrap("kafka1:9092, kafka2:9092")
    ('kafka1:9092', 'kafka2:9092')
    """
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


Addresses = Annotated[
    tuple[str, ...], Field(min_length=1), BeforeValidator(parse_bootstrap, json_schema_input_type=tuple[str, ...])
]
PartitionCount = Annotated[int, Strict(), Field(ge=1, le=1000)]


class KafkaSettings(SettingsTable):
    """`[kafka]`: the broker of the live pipeline, how it is reached, and its topics."""

    bootstrap: Addresses = Field(
        default=("127.0.0.1:9092",),
        description="Addresses of brokers to begin with, host:port each; they tell the others.",
        examples=[["kafka1.acme.example:9092", "kafka2.acme.example:9092"]],
    )
    prefix: str = Field(
        default="bypassflow.",
        pattern=r"^[A-Za-z0-9._-]{0,100}$",
        description="What the names of all topics and consumer groups begin with.",
        examples=["acme.bypassflow."],
    )
    partitions: PartitionCount = Field(
        default=4, description="Partitions of each raw topic: how many ingest workers can share one.", examples=[4]
    )
    fact_partitions: PartitionCount = Field(
        default=1,
        description="Partitions of facts and of all that follows from them. One company stands on one partition; "
        "never change it while there are facts.",
        examples=[1],
    )
    replication: PartitionCount = Field(
        default=1, description="Copies that the cluster keeps of each topic; three where it has three.", examples=[3]
    )
    raw_retention: Duration = Field(
        default=timedelta(days=7),
        description="How long raw topics keep records. They hold clear identifiers.",
        examples=["7d"],
    )
    facts_retention: Duration = Field(
        default=timedelta(days=90),
        description="How long facts are kept: state and store can be rebuilt from them.",
        examples=["90d"],
    )
    outcomes_retention: Duration = Field(
        default=timedelta(days=90),
        description="How long outcomes are kept: a store that was away this long has to be replayed.",
        examples=["90d"],
    )
    dead_letter_retention: Duration = Field(
        default=timedelta(days=30),
        description="How long refused records can be retried. They hold clear identifiers, sealed with the key.",
        examples=["30d"],
    )
    security_protocol: SecurityProtocol = Field(
        default="plaintext", description="How the brokers are spoken to.", examples=["sasl_ssl"]
    )
    sasl_mechanism: SaslMechanism | None = Field(
        default=None, description="How to sign in; needed with sasl_plaintext and sasl_ssl.", examples=["SCRAM-SHA-512"]
    )
    username: str | None = Field(
        default=None, min_length=1, description="Who signs in with PLAIN or SCRAM.", examples=["bypassflow"]
    )
    password_file: str | None = Field(
        default=None,
        description="File with the password alone, relative to the configuration.",
        examples=["kafka.password"],
    )
    password_env: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Name of the environment variable that holds the password; never the password itself.",
        examples=["BYPASSFLOW_KAFKA_PASSWORD"],
    )
    token_file: str | None = Field(
        default=None,
        description="File with the bearer token of OAUTHBEARER, relative to the configuration. It is read at every "
        "connection, so that whoever renews the token only has to replace it.",
        examples=["kafka.token"],
    )
    ca_file: str | None = Field(
        default=None,
        description="PEM file of the authorities that vouch for the brokers, relative to the configuration. "
        "Default: the machine's.",
        examples=["kafka-ca.pem"],
    )
    certificate_file: str | None = Field(
        default=None,
        description="PEM file of our own certificate, where brokers ask for one, relative to the configuration.",
        examples=["kafka-client.pem"],
    )
    key_file: str | None = Field(
        default=None,
        description="PEM file of our certificate's private key, without a passphrase, relative to the configuration.",
        examples=["kafka-client.key"],
    )
    check_hostname: bool = Field(
        default=True,
        description="Refuse a broker whose certificate names another host.",
        examples=[True],
    )

    @field_validator("bootstrap")
    @classmethod
    def _check_addresses(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            found = _ADDRESS.fullmatch(value)
            if found is None or not 0 < int(found["port"]) < 65536:
                raise ValueError("host:port each, such as '127.0.0.1:9092'")
        return values

    @field_validator("raw_retention", "facts_retention", "outcomes_retention", "dead_letter_retention")
    @classmethod
    def _check_retention(cls, value: timedelta) -> timedelta:
        if value < _SHORTEST_RETENTION:
            raise ValueError('at least an hour, such as "7d"')
        return value

    @model_validator(mode="after")
    def _check_security(self) -> KafkaSettings:
        problem = _security_problem(self)
        if problem is not None:
            # A kind of its own: the sentence names the keys itself.
            raise PydanticCustomError("inconsistent", "{problem}", {"problem": problem})
        return self

    def topic(self, name: str) -> str:
        """Return a topic's whole name.

        >>> KafkaSettings().topic("facts")
        'bypassflow.facts'
        """
        return self.prefix + name

    def topics(self) -> tuple[Topic, ...]:
        """Return every topic of the deployment, without its prefix, with what it has to be like."""
        raw = tuple(
            Topic(name, self.partitions, self.raw_retention, False, "what other systems send, until it is ingested")
            for name in RAW_TOPICS
        )
        own = (
            (FACTS, self.facts_retention, False, "the log that everything is folded from"),
            (OUTCOMES, self.outcomes_retention, False, "what became of each interaction, until every store has it"),
            (DEAD_LETTERS, self.dead_letter_retention, False, "records that were refused, until they are retried"),
            (CHECKPOINTS, None, True, "the newest state of each engine; older ones are compacted away"),
        )
        return raw + tuple(
            Topic(name, self.fact_partitions, retention, is_compacted, reason, LARGEST_REQUEST_BYTES)
            for name, retention, is_compacted, reason in own
        )

    def beside(self, base: str) -> KafkaSettings:
        """Return the same settings with the names of files made whole; `base` is the configuration's directory."""
        files = {name: os.path.join(base, path) for name in _FILES if (path := getattr(self, name)) is not None}
        return self.model_copy(update=files)


@dataclass(frozen=True)
class Secrets:
    """What the settings only name, read by whoever started the process.

    `token_provider`: an object of kafka-python's class, with a method `token()` that gives the newest one.
    """

    password: str | None = field(default=None, repr=False)
    token_provider: Any = field(default=None, repr=False)


NO_SECRETS: Final = Secrets()


def with_bootstrap(settings: KafkaSettings, bootstrap: str) -> KafkaSettings:
    """Return the same settings for brokers at other addresses, with commas between them.

    Raises:
        ValueError: when they are no addresses.
    """
    try:
        parsed = KafkaSettings(bootstrap=bootstrap).bootstrap  # type: ignore[arg-type]
    except ValidationError:
        raise ValueError(f"{bootstrap!r} is not host:port, such as '127.0.0.1:9092'") from None
    return settings.model_copy(update={"bootstrap": parsed})


def client_options(settings: KafkaSettings, secrets: Secrets = NO_SECRETS) -> dict[str, Any]:
    """Return the arguments with which kafka-python's clients reach the broker. Files are used as they are named.

    >>> client_options(KafkaSettings())
    {'bootstrap_servers': ['127.0.0.1:9092'], 'security_protocol': 'PLAINTEXT'}
    """
    options: dict[str, Any] = {
        "bootstrap_servers": list(settings.bootstrap),
        "security_protocol": settings.security_protocol.upper(),
    }
    if settings.security_protocol.endswith("ssl"):
        options |= {
            "ssl_check_hostname": settings.check_hostname,
            "ssl_cafile": settings.ca_file,
            "ssl_certfile": settings.certificate_file,
            "ssl_keyfile": settings.key_file,
        }
    if settings.security_protocol.startswith("sasl"):
        options["sasl_mechanism"] = settings.sasl_mechanism
        if settings.sasl_mechanism == "OAUTHBEARER":
            options["sasl_oauth_token_provider"] = secrets.token_provider
        else:
            options |= {"sasl_plain_username": settings.username, "sasl_plain_password": secrets.password}
    return options


def broker_options(topic: Topic) -> dict[str, str]:
    """Return a topic's configuration in the broker's own words.

    The broker's clock stamps every message: retention must not depend on what a sender believes the time to be, or a
    replay of last year's records would be deleted on arrival.
    """
    options = {"message.timestamp.type": "LogAppendTime"}
    if topic.is_compacted:
        options |= {
            "cleanup.policy": "compact",
            "segment.bytes": str(_COMPACTED_SEGMENT_BYTES),
            "min.cleanable.dirty.ratio": "0.1",
        }
    else:
        options["cleanup.policy"] = "delete"
    if topic.retention is not None:
        options["retention.ms"] = _milliseconds(topic.retention)
        options["segment.ms"] = _milliseconds(min(topic.retention, _LONGEST_SEGMENT))
    if topic.largest_message_bytes is not None:
        options["max.message.bytes"] = str(topic.largest_message_bytes)
    return options


def _milliseconds(length: timedelta) -> str:
    return str(length // timedelta(milliseconds=1))


def _security_problem(settings: KafkaSettings) -> str | None:
    """Return what is wrong between the keys of security, with the remedy."""
    protocol, mechanism = settings.security_protocol, settings.sasl_mechanism
    has_sasl, has_ssl = protocol.startswith("sasl"), protocol.endswith("ssl")
    sign_in = [name for name in ("username", "password_file", "password_env", "token_file") if getattr(settings, name)]
    files = [name for name in ("ca_file", "certificate_file", "key_file") if getattr(settings, name)]
    if not has_sasl and (mechanism or sign_in):
        name = "sasl_mechanism" if mechanism else sign_in[0]
        return f'{name} needs security_protocol = "{"sasl_ssl" if has_ssl else "sasl_plaintext"}"'
    if not has_ssl and files:
        return f'{files[0]} needs security_protocol = "{"sasl_ssl" if has_sasl else "ssl"}"'
    if bool(settings.certificate_file) != bool(settings.key_file):
        return "certificate_file and key_file are needed together"
    if not has_sasl:
        return None
    if mechanism is None:
        return f'security_protocol = "{protocol}" needs sasl_mechanism, for example "SCRAM-SHA-512"'
    if mechanism == "OAUTHBEARER":
        wanted = ["token_file"]
        if sign_in != wanted:
            return 'sasl_mechanism = "OAUTHBEARER" needs token_file, and no username or password'
        return None
    if "token_file" in sign_in:
        return 'token_file needs sasl_mechanism = "OAUTHBEARER"'
    if settings.username is None or len(sign_in) != 2:
        return f'sasl_mechanism = "{mechanism}" needs username and one of password_file and password_env'
    return None
