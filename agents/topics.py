"""The topics of a deployment on its cluster: made, compared with what the settings ask for, and described.

Nothing else makes topics: a topic that a client makes in passing would have somebody's default keeping.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from agents.faults import explain
from agents.probe import probe
from pipeline.errors import ConfigurationError, TransientError
from schemas.kafka import NO_SECRETS, KafkaSettings, Secrets, broker_options, client_options
from schemas.topics import DEAD_LETTERS, FACTS, OUTCOMES, RAW_TOPICS, Topic

# Somebody waits at a terminal.
_PATIENCE_MILLISECONDS: Final = 8_000
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class FoundTopic:
    """A topic as the cluster keeps it. `options` are the broker's own words."""

    partitions: int
    replication: int
    options: Mapping[str, str]


def create_topics(
    settings: KafkaSettings, secrets: Secrets = NO_SECRETS, only: Collection[str] | None = None
) -> list[str]:
    """Make the topics that are missing and return their whole names. Topics that are there stay as they are.

    `only`: these, named without the prefix; default: all.

    Raises:
        TransientError: when no broker answers within ten seconds.
        ConfigurationError: when the cluster refuses us or a topic.
    """
    wanted = {settings.topic(topic.name): topic for topic in _wanted(settings, only)}
    with _admin(settings, secrets) as admin:
        there = set(admin.list_topics())
        missing = {name: topic for name, topic in wanted.items() if name not in there}
        made = [name for name, topic in missing.items() if _make(admin, settings, secrets, name, topic)]
        admin.wait_for_topics(list(missing), timeout_ms=_PATIENCE_MILLISECONDS)
    return made


def check_topics(settings: KafkaSettings, secrets: Secrets = NO_SECRETS) -> list[str]:
    """Return what is not as the settings ask for, a sentence each with its remedy; nothing when all is well.

    Raises:
        TransientError: when no broker answers within ten seconds.
        ConfigurationError: when the cluster refuses us.
    """
    return differences(settings, find_topics(settings, secrets))


def require_topics(settings: KafkaSettings, secrets: Secrets = NO_SECRETS, only: Collection[str] | None = None) -> None:
    """See that topics are there with enough partitions: nothing works without.

    `only`: these, named without the prefix; default: all.

    Raises:
        TransientError: when no broker answers within ten seconds, or a topic is missing: whoever sets a cluster up
            makes it in a moment, and a broker that has just started may not know of it yet.
        ConfigurationError: when the cluster refuses us, or a topic has too few partitions.
    """
    found = find_topics(settings, secrets)
    if sentences := lacking(settings, found, only):
        raise (TransientError if _missing(settings, found, only) else ConfigurationError)("; ".join(sentences))


def describe_topics(settings: KafkaSettings, secrets: Secrets = NO_SECRETS) -> list[dict[str, Any]]:
    """Return a row for each topic of the settings: what it is for, and how the cluster keeps it.

    Raises:
        TransientError: when no broker answers within ten seconds.
        ConfigurationError: when the cluster refuses us.
    """
    found = find_topics(settings, secrets)
    return [_row(settings, topic, found.get(topic.name)) for topic in settings.topics()]


def find_topics(settings: KafkaSettings, secrets: Secrets = NO_SECRETS) -> dict[str, FoundTopic]:
    """Return those of the settings' topics that the cluster has, by their names without the prefix."""
    names = {settings.topic(topic.name): topic.name for topic in settings.topics()}
    with _admin(settings, secrets) as admin:
        there = sorted(names.keys() & set(admin.list_topics()))
        if not there:
            return {}
        described = {topic["name"]: topic["partitions"] for topic in admin.describe_topics(there)}
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in there]
        options = admin.describe_configs(resources, config_filter="all").get("topic", {})
    return {
        names[name]: FoundTopic(
            partitions=len(described[name]),
            replication=min((len(part["replica_nodes"]) for part in described[name]), default=0),
            options={
                key: option["value"] for key, option in options.get(name, {}).items() if option["value"] is not None
            },
        )
        for name in there
    }


def differences(settings: KafkaSettings, found: Mapping[str, FoundTopic]) -> list[str]:
    """Return what is not as the settings ask for, a sentence each with its remedy: what is lacking first."""
    there = [(topic, found[topic.name]) for topic in settings.topics() if topic.name in found]
    return lacking(settings, found) + [part for pair in there for part in _differences(settings, *pair)]


def lacking(settings: KafkaSettings, found: Mapping[str, FoundTopic], only: Collection[str] | None = None) -> list[str]:
    """Return what nothing works without: missing topics and partitions, a sentence each with its remedy."""
    missing = _missing(settings, found, only)
    sentences = [f"missing: {', '.join(missing)}; make them with: bypassflow topics create"] if missing else []
    for topic in _wanted(settings, only):
        there = found.get(topic.name)
        if there is not None and there.partitions < topic.partitions:
            sentences.append(
                f"{settings.topic(topic.name)} has {there.partitions} of {topic.partitions} partitions; "
                f"{_more_partitions(topic, there)}"
            )
    return sentences


def _wanted(settings: KafkaSettings, only: Collection[str] | None) -> list[Topic]:
    return [topic for topic in settings.topics() if only is None or topic.name in only]


def _missing(settings: KafkaSettings, found: Mapping[str, FoundTopic], only: Collection[str] | None) -> list[str]:
    """Return the whole names of the topics that are not there."""
    return [settings.topic(topic.name) for topic in _wanted(settings, only) if topic.name not in found]


def _differences(settings: KafkaSettings, topic: Topic, found: FoundTopic) -> Iterator[str]:
    name = settings.topic(topic.name)
    if found.replication < settings.replication:
        yield (
            f"{name} has {found.replication} of {settings.replication} copies; reassign its replicas with the "
            "cluster's own tool, or lower [kafka] replication"
        )
    for option, wanted in broker_options(topic).items():
        value = found.options.get(option)
        # Segments are the broker's affair, and some clusters do not tell every option.
        if value is None or option.startswith(("segment.", "min.")) or value == wanted:
            continue
        if option == "max.message.bytes":
            if int(value) >= int(wanted):
                continue
            yield f"{name} takes messages up to {int(value):,} bytes; {_set(name, option, wanted)}"
        elif option == "retention.ms":
            kept = f"for {_length(value)} instead of {_length(wanted)}"
            yield f"{name} keeps messages {kept}; {_set(name, option, wanted)}, or change [kafka] {_setting(topic)}"
        elif option == "cleanup.policy":
            yield f"{name} has {option}={value}, which {_harm(topic)}; {_set(name, option, wanted)}"
        else:
            yield f"{name} has {option}={value}, so senders' clocks decide what expires; {_set(name, option, wanted)}"


def _more_partitions(topic: Topic, found: FoundTopic) -> str:
    if topic.name in RAW_TOPICS:
        return "add them with the cluster's own tool (kafka-topics --alter --partitions), or lower [kafka] partitions"
    # Companies would change their partition and leave their facts behind.
    return f"set [kafka] fact_partitions = {found.partitions}, or begin anew under another [kafka] prefix"


def _harm(topic: Topic) -> str:
    return "keeps every checkpoint" if topic.is_compacted else "drops messages that are still needed"


def _setting(topic: Topic) -> str:
    names = {FACTS: "facts_retention", OUTCOMES: "outcomes_retention", DEAD_LETTERS: "dead_letter_retention"}
    return names.get(topic.name, "raw_retention")


def _set(name: str, option: str, value: str) -> str:
    return f"set it with: kafka-configs --alter --topic {name} --add-config {option}={value}"


def _length(milliseconds: str) -> str:
    if milliseconds == "-1":
        return "ever"
    length = timedelta(milliseconds=int(milliseconds))
    if length and length % _DAY == timedelta(0):
        return f"{length // _DAY} days"
    return str(length)


def _row(settings: KafkaSettings, topic: Topic, found: FoundTopic | None) -> dict[str, Any]:
    options = found.options if found else {}
    is_compacted = "compact" in options.get("cleanup.policy", "")
    kept = options.get("retention.ms")
    return {
        "topic": settings.topic(topic.name),
        "is_there": found is not None,
        "partitions": found.partitions if found else None,
        "replication": found.replication if found else None,
        "kept": None if found is None else "the newest of each key" if is_compacted else kept and _length(kept),
        "largest_message_bytes": int(options["max.message.bytes"]) if "max.message.bytes" in options else None,
        "reason": topic.reason,
    }


def _make(admin: Any, settings: KafkaSettings, secrets: Secrets, name: str, topic: Topic) -> bool:
    """Make one topic; return False when somebody else did so meanwhile."""
    wanted = {
        "num_partitions": topic.partitions,
        "replication_factor": settings.replication,
        "configs": broker_options(topic),
    }
    answer = admin.create_topics({name: wanted}, timeout_ms=_PATIENCE_MILLISECONDS, raise_errors=False)
    (result,) = answer["topics"]
    error = for_code(result["error_code"])
    if not result["error_code"]:
        return True
    if error is TopicAlreadyExistsError:
        return False
    explained = explain(error(), settings, secrets)
    if isinstance(explained, ConfigurationError):
        raise explained
    raise ConfigurationError(
        f"the broker refuses to make {name} with {topic.partitions} partitions and {settings.replication} copies: "
        f"{result.get('error_message') or error.__name__}"
    )


@contextlib.contextmanager
def _admin(settings: KafkaSettings, secrets: Secrets) -> Iterator[Any]:
    refusal = probe(settings, secrets)
    if refusal is not None:
        raise refusal
    try:
        admin = KafkaAdminClient(
            **client_options(settings, secrets),
            bootstrap_timeout_ms=_PATIENCE_MILLISECONDS,
            request_timeout_ms=_PATIENCE_MILLISECONDS,
        )
    except KafkaError as error:
        raise explain(error, settings, secrets) from None
    try:
        yield admin
    except KafkaError as error:
        raise explain(error, settings, secrets) from None
    finally:
        with contextlib.suppress(KafkaError):
            admin.close()
