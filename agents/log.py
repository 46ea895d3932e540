"""Kafka as a log: what the core calls topics, partitions and offsets, through kafka-python."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final, TypeVar

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from agents.faults import explain
from pipeline.errors import BypassflowError, ConfigurationError, TransientError
from schemas.closing import Closing
from schemas.kafka import LARGEST_REQUEST_BYTES, NO_SECRETS, KafkaSettings, Secrets, client_options
from schemas.log import Draft, Entry
from schemas.topics import MAX_MESSAGE_BYTES

# A broker answers with one message at least. More would be fetched in vain by a read of a few small ones.
_FETCH_BYTES: Final = MAX_MESSAGE_BYTES
_POLL_MILLISECONDS: Final = 500
_LAST_POLL_MILLISECONDS: Final = 100
R = TypeVar("R")


class KafkaLog(Closing):
    """A `schemas.log.Log` on a Kafka cluster; topics are named without the deployment's prefix.

    Several threads may use one; reads may be interleaved. A producer without transactions, idempotent and with every
    in-sync copy's word: a confirmed message is kept once and in its order.
    """

    def __init__(
        self, settings: KafkaSettings, secrets: Secrets = NO_SECRETS, *, patience: timedelta = timedelta(seconds=30)
    ) -> None:
        """`patience`: how long a broker may be silent before a call gives up with TransientError."""
        self._settings = settings
        self._secrets = secrets
        self._options = client_options(settings, secrets)
        self._patience = patience
        self._lock = threading.Lock()
        self._producer: Any = None
        # A consumer costs half a second to connect, so it is kept for the next read.
        self._idle: list[Any] = []
        self._known: set[TopicPartition] = set()

    def close(self) -> None:
        """Let go of all connections. The log may be used again."""
        with self._lock:
            consumers, self._idle = self._idle, []
            producer, self._producer = self._producer, None
        if producer is not None:
            producer.close(timeout=self._patience.total_seconds())
        for consumer in consumers:
            consumer.close(autocommit=False)

    def append(self, drafts: Sequence[Draft]) -> list[int]:
        """Append messages and return their offsets once all of them are kept by the broker, in their order.

        Raises:
            TransientError: when the broker did not confirm them; some may be kept all the same.
            ConfigurationError: when a topic or partition is not there, or refuses messages of this size.
            ValueError: when a message is larger than MAX_MESSAGE_BYTES; nothing is appended then.
        """
        for draft in drafts:
            if draft.value is not None and len(draft.value) > MAX_MESSAGE_BYTES:
                raise ValueError(
                    f"a message of {len(draft.value):,} bytes for {draft.topic}/{draft.partition}; "
                    f"at most {MAX_MESSAGE_BYTES:,} pass"
                )
        if not drafts:
            return []
        self._require({self._place(draft.topic, draft.partition) for draft in drafts})
        with self._lock:
            try:
                return self._send(drafts)
            except KafkaError as error:
                self._abandon_producer()
                raise self._explained(error) from None
            except BaseException:
                self._abandon_producer()
                raise

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[Entry]:
        """Yield what is kept from offset `start` to before `stop`, in order; not waiting for what is to come.

        Raises:
            TransientError: when the broker is silent for longer than `patience`.
            ConfigurationError: when the topic or partition is not there.
        """
        place = self._place(topic, partition)
        begin, end = self.begin(topic, partition), self.end(topic, partition)
        start = max(start, begin)
        if start >= stop or begin == end:
            return
        consumer = self._take_consumer()
        is_whole = False
        try:
            yield from self._read(consumer, place, start, stop, end)
            is_whole = True
        except KafkaError as error:
            raise self._explained(error) from None
        except GeneratorExit:
            is_whole = True
            raise
        finally:
            self._give_back(consumer, is_whole)

    def begin(self, topic: str, partition: int) -> int:
        """Return the first offset that is still kept."""
        place = self._place(topic, partition)
        return self._ask(place, lambda consumer, wait: consumer.beginning_offsets([place], timeout_ms=wait)[place])

    def end(self, topic: str, partition: int) -> int:
        """Return the offset that the next message will get."""
        place = self._place(topic, partition)
        return self._ask(place, lambda consumer, wait: consumer.end_offsets([place], timeout_ms=wait)[place])

    # Writing

    def _send(self, drafts: Sequence[Draft]) -> list[int]:
        if self._producer is None:
            self._producer = KafkaProducer(
                **self._options,
                acks="all",
                enable_idempotence=True,
                allow_auto_create_topics=False,
                max_request_size=LARGEST_REQUEST_BYTES,
                delivery_timeout_ms=self._patience_ms,
                request_timeout_ms=self._patience_ms,
                max_block_ms=self._patience_ms,
                bootstrap_timeout_ms=self._patience_ms,
                metrics_enabled=False,
            )
        waiting = [
            self._producer.send(
                self._settings.topic(draft.topic),
                value=draft.value,
                key=draft.key,
                headers=list(draft.headers.items()),
                partition=draft.partition,
            )
            for draft in drafts
        ]
        deadline = time.monotonic() + 2 * self._patience.total_seconds()
        return [future.get(timeout=max(0.0, deadline - time.monotonic())).offset for future in waiting]

    def _abandon_producer(self) -> None:
        """End a producer with what it still holds, which must not be sent after the caller's next messages.

        Its own close() waits for what is pending, and when that takes too long it leaves the thread running, which
        then sends it after all (kafka-python 3.0.12): so the thread is ended first.
        """
        producer, self._producer = self._producer, None
        if producer is None:
            return
        producer._sender.force_close()
        producer._sender.join(self._patience.total_seconds())
        with suppress(KafkaError):
            producer.close(timeout=0)

    # Reading

    def _read(self, consumer: Any, place: TopicPartition, start: int, stop: int, end: int) -> Iterator[Entry]:
        consumer.assign([place])
        consumer.seek(place, start)
        heard_at, position = time.monotonic(), start
        while position < stop:
            # The embedded broker tells an end that is too low; what is behind it is there at once or not at all.
            wait = _POLL_MILLISECONDS if position < end else _LAST_POLL_MILLISECONDS
            records = consumer.poll(timeout_ms=wait).get(place, ())
            for record in records:
                # Before `start`: it was beyond the end, and the consumer began anew.
                if not start <= record.offset < stop:
                    return
                yield Entry(record.offset, record.value, record.key, dict(record.headers), record.timestamp)
            # Offsets may be missing, the last ones too: where the consumer stands is what counts.
            reached = consumer.position(place, timeout_ms=_POLL_MILLISECONDS)
            now = time.monotonic()
            if records or (reached is not None and reached > position):
                heard_at, position = now, max(position, reached or 0)
            elif position >= end:
                return
            elif now - heard_at > self._patience.total_seconds():
                raise TransientError(f"{self._who()} is silent at {place.topic}/{place.partition}@{position}")

    def _ask(self, place: TopicPartition, question: Callable[[Any, int], int]) -> int:
        self._require({place})
        return self._with_consumer(lambda consumer: question(consumer, self._patience_ms))

    def _require(self, places: set[TopicPartition]) -> None:
        """See that partitions are there: clients would wait for missing ones until they give up."""
        missing = places - self._known
        if not missing:
            return
        for name in {place.topic for place in missing}:
            self._known |= self._with_consumer(functools.partial(_places_of, name))
        for place in sorted(missing - self._known):
            raise ConfigurationError(
                f"{self._who()} has no partition {place.partition} of topic {place.topic}; "
                "`bypassflow topics check` says what is missing, `bypassflow topics create` makes it"
            )

    def _with_consumer(self, use: Callable[[Any], R]) -> R:
        consumer = self._take_consumer()
        is_whole = False
        try:
            answer = use(consumer)
            is_whole = True
            return answer
        except KafkaError as error:
            raise self._explained(error) from None
        finally:
            self._give_back(consumer, is_whole)

    def _take_consumer(self) -> Any:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        try:
            return KafkaConsumer(
                **self._options,
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                allow_auto_create_topics=False,
                max_partition_fetch_bytes=_FETCH_BYTES,
                fetch_max_bytes=_FETCH_BYTES,
                bootstrap_timeout_ms=self._patience_ms,
                metrics_enabled=False,
            )
        except KafkaError as error:
            raise self._explained(error) from None

    def _give_back(self, consumer: Any, is_whole: bool) -> None:
        if is_whole:
            consumer.assign([])
            with self._lock:
                self._idle.append(consumer)
        else:
            with suppress(KafkaError):
                consumer.close(autocommit=False)

    def _place(self, topic: str, partition: int) -> TopicPartition:
        return TopicPartition(self._settings.topic(topic), partition)

    def _explained(self, error: KafkaError) -> BypassflowError:
        return explain(error, self._settings, self._secrets)

    def _who(self) -> str:
        return f"the broker at {', '.join(self._settings.bootstrap)}"

    @property
    def _patience_ms(self) -> int:
        return self._patience // timedelta(milliseconds=1)


def _places_of(name: str, consumer: Any) -> set[TopicPartition]:
    return {TopicPartition(name, number) for number in consumer.partitions_for_topic(name) or ()}
