"""Answers of a running sink, over HTTP: each question is a path of its own, and no SQL crosses the network."""

from __future__ import annotations

import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from types import TracebackType
from typing import Any, Final, Self

import orjson
import pyarrow as pa

from pipeline.errors import ConfigurationError, TransientError
from pipeline.explain import Verdict
from schemas.alerting import Kind
from schemas.packing import InvalidPack, Pack, pack, unpack
from sinks.alerting import Seen
from sinks.answers import ALL, Report, Row
from sinks.explanations import Explanation
from sinks.gist import Gist

# Longer than the sink itself allows a question.
_TIMEOUT_SECONDS: Final = 60.0
_ROWS: Final = ("evidence", "holders")


class RemoteAnswers:
    """Answers of the sink at a URL such as http://127.0.0.1:8766."""

    def __init__(self, url: str) -> None:
        if "@" in url or "?" in url:
            # Whoever fails to reach it says where it looked, and what stands there may be secret.
            raise ConfigurationError(
                "the address of a sink has no user, no password and no question; expected one such as "
                "http://127.0.0.1:8766"
            )
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(f"{url!r} is no address of a sink; expected one such as http://127.0.0.1:8766")
        self._url = url.rstrip("/")
        # A sink is a neighbour: no proxy is asked.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held."""

    def report(
        self, by: Sequence[str], since: str | None, until: str | None, wanted: Mapping[str, Collection[str]] = ALL
    ) -> Report:
        """See `sinks.answers.Answers`."""
        found = orjson.loads(self._ask("report", {**wanted, "by": by, "since": since, "until": until}))
        return Report(found["rows"], found["overall"], found["warnings"])

    def interactions(
        self, wanted: Mapping[str, Collection[str]], since: str | None, until: str | None, limit: int | None
    ) -> pa.Table:
        """See `sinks.answers.Answers`."""
        values = {**wanted, "since": since, "until": until, "limit": None if limit is None else str(limit)}
        return self._unpacked("interactions", values).tables["interactions"]

    def explain(self, interaction_id: str) -> Explanation:
        """See `sinks.answers.Answers`."""
        return unpack_explanation(self._unpacked("explain", {"id": interaction_id}))

    def audit(self) -> list[Row]:
        """See `sinks.answers.Answers`."""
        rows: list[Row] = orjson.loads(self._ask("audit", {}))
        return rows

    def timezone(self) -> str:
        """See `sinks.answers.Answers`."""
        return str(orjson.loads(self._ask("timezone", {}))["timezone"])

    def look(self, kind: Kind, days: int | None, wanted: Mapping[str, Collection[str]], now: datetime) -> Seen:
        """See `sinks.answers.Answers`."""
        values = {**wanted, "kind": kind, "days": None if days is None else str(days), "now": now.isoformat()}
        found = orjson.loads(self._ask("alert", values))
        return Seen(found["value"], found["row"], tuple(found["sentences"]))

    def gist(self, days: int, wanted: Mapping[str, Collection[str]]) -> Gist:
        """See `sinks.answers.Answers`."""
        return read_gist(orjson.loads(self._ask("gist", {**wanted, "days": str(days)})))

    def status(self) -> dict[str, Any]:
        """Return how far the sink has come."""
        found: dict[str, Any] = orjson.loads(self._ask("status", {}))
        return found

    def health(self) -> dict[str, Any]:
        """Return the sink's state and what it has applied since it started, without a question to the store.

        Raises:
            TransientError: when it does not answer, or does not follow the log.
        """
        found: dict[str, Any] = orjson.loads(self._ask("healthz", {}))
        if found["state"] != "running":
            raise TransientError(f"{found['state']}: {found['reason']}")
        return found

    def _unpacked(self, path: str, values: Mapping[str, object]) -> Pack:
        try:
            return unpack(self._ask(path, values))
        except InvalidPack as error:
            raise ConfigurationError(f"{self._url} answers with {error}; it is no sink of this version") from None

    def _ask(self, path: str, values: Mapping[str, object]) -> bytes:
        given = {name: value for name, value in values.items() if value is not None}
        query = urllib.parse.urlencode(given, doseq=True)
        try:
            with self._opener.open(f"{self._url}/{path}?{query}", timeout=_TIMEOUT_SECONDS) as response:
                content: bytes = response.read()
                return content
        except urllib.error.HTTPError as error:
            raise self._told(error) from None
        except (urllib.error.URLError, OSError) as error:
            reason = getattr(error, "reason", error)
            raise TransientError(
                f"no sink answers at {self._url} ({str(getattr(reason, 'strerror', None) or reason).lower()}); "
                "`bypassflow sink` starts one, or name a store with --db"
            ) from None

    def _told(self, error: urllib.error.HTTPError) -> ConfigurationError | TransientError:
        try:
            sentence = str(orjson.loads(error.read())["error"])
        except (orjson.JSONDecodeError, KeyError, TypeError):
            sentence = f"{self._url} answers {error.code}; it is no sink of bypassflow"
        return TransientError(sentence) if error.code >= 500 else ConfigurationError(sentence)


def read_gist(written: Mapping[str, Any]) -> Gist:
    """Return the gist that was written as JSON."""
    days = {name: _day(written[name]) for name in ("first_day", "last_day", "unsettled_from")}
    compared = written["compared"]
    reached = written["complete_through"]
    times = {
        "compared": None if compared is None else tuple(map(date.fromisoformat, compared)),
        "complete_through": None if reached is None else datetime.fromisoformat(reached),
    }
    wanted = {name: tuple(values) for name, values in written["wanted"].items()}
    return Gist(**{**written, **days, **times, "wanted": wanted})


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def pack_explanation(explanation: Explanation) -> bytes:
    """Return an explanation as a packed message."""
    tables = {name: pa.Table.from_pylist(getattr(explanation, name)) for name in _ROWS}
    tables["interaction"] = pa.Table.from_pylist([explanation.interaction])
    tables["verdicts"] = pa.Table.from_pylist([asdict(verdict) for verdict in explanation.verdicts])
    return pack(Pack({"summary": explanation.summary}, tables))


def unpack_explanation(content: Pack) -> Explanation:
    """Return the explanation that was packed."""
    rows = {name: table.to_pylist() for name, table in content.tables.items()}
    verdicts = [Verdict(**row) for row in rows["verdicts"]]
    return Explanation(rows["interaction"][0], rows["evidence"], rows["holders"], verdicts, content.head["summary"])
