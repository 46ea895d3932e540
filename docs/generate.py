"""Writes the pages of docs/reference that come from the code: commands, configuration, schemas,
sources, the store, the API, the figures and the licences.

python docs/generate.py            writes them
python docs/generate.py --check    says which are stale, and fails
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, cast

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from pydantic import TypeAdapter
from typer import Typer
from typer.testing import CliRunner

from agents.figures import CorrelateFigures, IngestFigures, OutboxCollector, PositionCollector
from cli import app
from dashboard.counting import Counting
from dashboard.web import make_app
from pipeline.sources import registry
from release.page import licence_page
from schemas.export import json_schemas
from schemas.reading import READING_MODELS
from schemas.record import RAW_EVENT_KINDS, RECORD_MODELS
from sinks import reference as store
from sinks.asking import Asking
from sinks.figures import APPLIED, sink_metrics, store_metrics
from sinks.store import Store

REFERENCE = Path(__file__).resolve().parent / "reference"
NOTE = "<!-- Written by `make docs`; change the code instead. -->"

Schema = Mapping[str, Any]


def table(header: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [list(header), ["---"] * len(header), *(list(row) for row in rows)]
    escaped = ([cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def code(text: str) -> str:
    return f"`{text}`" if text else ""


# Commands


def command_page() -> str:
    app.rich_markup_mode = None
    for group in app.registered_groups:
        if group.typer_instance is not None:
            group.typer_instance.rich_markup_mode = None
    names = [(name,) for name in _names(app)]
    for group in app.registered_groups:
        if group.typer_instance is not None and group.name:
            names += [(str(group.name), name) for name in _names(group.typer_instance)]
    parts = [NOTE, "# Commands", _help()]
    for command in names:
        parts += [f"## bypassflow {' '.join(command)}", _help(*command)]
    return _page(parts)


def _names(group: Typer) -> list[str]:
    return [str(info.name or info.callback.__name__) for info in group.registered_commands if info.callback]


def _help(*command: str) -> str:
    """Return what --help prints, without the colours and boxes of a terminal."""
    result = CliRunner().invoke(app, [*command, "--help"], prog_name="bypassflow", terminal_width=100)
    assert result.exit_code == 0, result.output
    return f"```text\n{result.output.strip()}\n```"


def _prose(text: str | None) -> str:
    """Return a help text with one sentence per line."""
    paragraphs = (text or "").strip().split("\n\n")
    return "\n\n".join(" ".join(line.strip() for line in part.splitlines()).replace(". ", ".\n") for part in paragraphs)


# Schemas and configuration


def schema_page() -> str:
    schemas = json_schemas()
    raw = [name for name in RECORD_MODELS if name in RAW_EVENT_KINDS]
    records = [name for name in RECORD_MODELS if name not in RAW_EVENT_KINDS]
    settings = ("record", "configuration", "engine_settings")
    others = [name for name in schemas if name not in {*RECORD_MODELS, *READING_MODELS, *settings}]
    parts = [
        NOTE,
        "# Schemas",
        "Contracts of everything that crosses a file, a topic or an interface.\n"
        "`bypassflow schemas` prints them as JSON Schema (2020-12).\n"
        "A record names its `kind` and the `version` of that kind; fields without a default are required.\n"
        "The same records may come as JSON Lines, CSV or Parquet.",
        "## Raw events",
        *(_schema(schemas[name], name) for name in raw),
        "## Records of the CRM and of the company",
        *(_schema(schemas[name], name) for name in records),
        "## Readings of files on topics",
        "`bypassflow replay --kafka` sends these to the raw topics; a file never holds them.",
        *(_schema(schemas[name], name) for name in READING_MODELS),
        "## Results",
        *(_schema(schemas[name], name) for name in others),
    ]
    return _page(parts)


def configuration_page() -> str:
    schema = json_schemas()["configuration"]
    definitions = schema["$defs"]
    parts = [
        NOTE,
        "# Configuration",
        "`bypassflow.toml` stands beside the data; `bypassflow init` writes it.\n"
        "Every table and every key may be left out, except the path of a source and what a receiver requires.\n"
        "An unknown key stops the run, with its line and the nearest known key.\n"
        'A length of time is written as `"30s"`, `"15min"`, `"72h"`, `"7d"`, or as a number of seconds.',
    ]
    for name, field in schema["properties"].items():
        for reference in _references(field):
            definition = definitions[reference]
            title = f"[[{name}]]" if field.get("type") == "array" else f"[{name}]"
            kind = definition["properties"].get("kind", {}).get("const")
            title += f" of kind {kind}" if kind else ""
            summary = re.split(r"`(?: of kind \w+)?: ", str(definition.get("description", "")), maxsplit=1)[-1]
            parts += [f"## {title}", summary[:1].upper() + summary[1:], _fields(definition, definitions)]
            parts += _inner_tables(name, definition, definitions)
    return _page(parts)


def _inner_tables(name: str, definition: Schema, definitions: Schema) -> list[str]:
    """Return the parts of tables inside a table, and of those inside them."""
    parts = []
    for key, field in definition["properties"].items():
        if field.get("type") == "array" and "$ref" in field["items"]:
            (reference,) = _references(field)
            inner, title = definitions[reference], f"{name}.{key}"
            summary = str(inner.get("description", "")).partition("`: ")[2]
            parts += [f"### [[{title}]]", summary[:1].upper() + summary[1:], _fields(inner, definitions)]
            parts += _inner_tables(title, inner, definitions)
        for reference in (each["$ref"].rsplit("/", 1)[-1] for each in field.get("anyOf", ()) if "$ref" in each):
            inner, title = definitions[reference], f"{name}.{key}"
            summary = str(inner.get("description", "")).partition("`: ")[2]
            parts += [f"### [{title}]", summary[:1].upper() + summary[1:], _fields(inner, definitions)]
    return parts


def _references(field: Schema) -> list[str]:
    """Return the models of a table: several where an array holds tables of several kinds."""
    holder = field.get("items", field)
    holders = holder.get("oneOf") or [holder]
    return [str(each.get("$ref") or each["allOf"][0]["$ref"]).rsplit("/", 1)[-1] for each in holders]


def _schema(schema: Schema, name: str) -> str:
    return f"### {name}\n\n{_prose(schema.get('description'))}\n\n{_fields(schema, schema.get('$defs', {}))}"


def _fields(schema: Schema, definitions: Schema) -> str:
    required = set(schema.get("required", ()))
    rows = (
        (
            code(name),
            _kind(field, definitions),
            "required" if name in required else _default(field),
            str(field.get("description", "")),
            _literal(field["examples"][0]) if field.get("examples") else "",
        )
        for name, field in schema["properties"].items()
    )
    return table(("field", "type", "default", "meaning", "example"), rows)


def _default(field: Schema) -> str:
    value = field.get("default")
    if isinstance(value, str) and re.fullmatch(r"P(\d+D)?(T(\d+[HMS])+)?", value):
        value = _length(TypeAdapter(timedelta).validate_python(value))
    return "" if value in (None, [], {}) else _literal(value)


def _length(value: timedelta) -> str:
    """Return a length of time as the configuration says it."""
    seconds = int(value.total_seconds())
    sizes = {"d": 86_400, "h": 3_600, "min": 60, "s": 1}
    unit = next(unit for unit, size in sizes.items() if seconds % size == 0 and seconds >= size)
    return f"{seconds // sizes[unit]}{unit}"


def _literal(value: object) -> str:
    return code(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _kind(field: Schema, definitions: Schema) -> str:
    """Return a JSON Schema type in words; null is said by the default."""
    if "$ref" in field:
        return _kind(definitions.get(str(field["$ref"]).rsplit("/", 1)[-1], {"type": "object"}), definitions)
    if "anyOf" in field:
        return " or ".join(_kind(option, definitions) for option in field["anyOf"] if option.get("type") != "null")
    if "enum" in field:
        return " ".join(code(str(value)) for value in field["enum"])
    if "const" in field:
        return _literal(field["const"])
    kind = str(field.get("type", "any"))
    if kind == "array":
        return f"list of {_kind(field.get('items', {}), definitions)}"
    words = {"date-time": "instant", "date": "date", "duration": "length of time"}
    return words.get(str(field.get("format")), {"string": "text", "object": "table"}.get(kind, kind))


# Sources


def source_pages() -> dict[str, str]:
    """Return the matrix of formats, and one page a source, by file name."""
    rows = [
        (f"[{source.name}](sources/{source.name}.md)", each.name, each.read, each.ignored, each.verified)
        for source in _documented()
        for each in source.formats
    ]
    parts = [
        NOTE,
        "# Sources",
        "Formats that bypassflow reads.\n"
        "Recognition looks at content; names of files do not matter.\n"
        "Every file may be compressed with gzip or zstd.\n"
        "`format` in a `[[source]]` table names a parser when recognition is not wanted.\n"
        "The last column says what the parser was tried on: records of such a system, or its documentation alone.",
        table(("source", "format", "read", "passed over", "verified on"), iter(rows)),
    ]
    return {"sources.md": _page(parts)} | {f"sources/{each.name}.md": _source_page(each) for each in _documented()}


def _documented() -> list[registry.DocumentedSource]:
    return [cast(registry.DocumentedSource, source) for source in registry.sources()]


def _source_page(source: registry.DocumentedSource) -> str:
    carries = ", ".join(code(kind) for kind in sorted(source.carries))
    rows = ((each.name, each.read, each.ignored, f"{each.verified}: {each.verified_on}") for each in source.formats)
    parts = [
        NOTE,
        f"# {source.title}",
        _prose(source.description),
        f"Format {code(source.name)}; carries {carries}.",
        table(("format", "read", "passed over", "verified on"), rows),
    ]
    if source.lies:
        parts += ["## What it says that is not so", "\n".join(f"- {lie}" for lie in source.lies)]
    return _page(parts)


def _page(parts: Sequence[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def pages() -> dict[str, str]:
    """Return the text of every generated page by file name."""
    return {
        "commands.md": command_page(),
        "configuration.md": configuration_page(),
        "schemas.md": schema_page(),
        "store.md": store.page(),
        "api.md": api_page(),
        "metrics.md": metric_page(),
        "licences.md": licence_page(NOTE),
    } | source_pages()


# The API


def api_page() -> str:
    # The description asks nothing of a store, and nothing of the clock.
    described = make_app(cast(Asking, None), now=lambda: datetime.min).openapi()
    definitions = described["components"]["schemas"]
    parts = [
        NOTE,
        "# The API",
        "`bypassflow serve` and `bypassflow sink --serve` answer these paths; `/openapi.json` describes them for "
        "programs.\nHow to use it says [Use the API](../howto/use-the-api.md).\n"
        "Instants are UTC, proportions 0-1.",
    ]
    for path, operations in described["paths"].items():
        operation = operations["get"]
        parts += [f"## {path}", _prose(operation.get("description"))]
        if parameters := operation.get("parameters"):
            parts.append(table(("parameter", "type", "default", "meaning"), map(_parameter, parameters)))
        content = operation["responses"]["200"].get("content", {})
        answer = content.get("application/json", {}).get("schema", {})
        if "$ref" in answer:
            name = str(answer["$ref"]).rsplit("/", 1)[-1]
            parts.append(f"Answers {code(name)}, as {', '.join(code(kind) for kind in content)}.")
    parts.append("## Answers")
    parts += [
        f"### {name}\n\n{_prose(schema.get('description'))}\n\n{_fields(schema, definitions)}"
        for name, schema in sorted(definitions.items())
        if schema.get("properties")
    ]
    return _page(parts)


def _parameter(parameter: Schema) -> Sequence[str]:
    schema = parameter["schema"]
    default = "required" if parameter.get("required") else _default(schema)
    meaning = str(parameter.get("description") or schema.get("description", ""))
    return code(str(parameter["name"])), _kind(schema, {}), default, meaning


# Figures for Prometheus


def metric_page() -> str:
    worker, receiver = (CollectorRegistry(), CollectorRegistry())
    IngestFigures(worker)
    CorrelateFigures(worker)
    worker.register(PositionCollector(dict, ""))
    receiver.register(OutboxCollector(lambda: (0, 0)))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "empty.duckdb"
        with Store.create(path) as made:
            made.publish(path)
        with Store.open(path) as empty:
            stored = store_metrics(empty)
    served = Counting()
    parts = [
        NOTE,
        "# Figures",
        "What each process tells Prometheus, and how it is asked, says "
        "[Watch the processes](../howto/watch-the-processes.md).\n"
        "All of them also tell of themselves: `process_resident_memory_bytes`, `process_cpu_seconds_total`, "
        "`process_open_fds`, `process_start_time_seconds`.\n"
        "No label names anybody.",
    ]
    for title, metrics in (
        ("Workers", worker.collect()),
        ("Receivers", receiver.collect()),
        ("Sink", sink_metrics(_SAMPLE_STATUS)),
        ("Store: of the sink, and of `serve`", stored),
        ("Pages and API", served.own()),
    ):
        rows = ((code(_full_name(each)), each.type, _labels(each.name), each.documentation) for each in metrics)
        parts += [f"## {title}", table(("figure", "kind", "labels", "meaning"), rows)]
    return _page(parts)


def _full_name(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else str(metric.name)


def _labels(name: str) -> str:
    """Return the labels of a figure, which it does not tell while it has no values."""
    return ", ".join(code(label) for label in _LABELS.get(name, ()))


_LABELS: Final = {
    "bypassflow_ingest_facts": ("kind",),
    "bypassflow_ingest_dead_letters": ("reason",),
    "bypassflow_feed_newest_event_timestamp_seconds": ("feed",),
    "bypassflow_engine_rows": ("table",),
    "bypassflow_worker_lag_messages": ("topic", "partition"),
    "bypassflow_sink_lag_messages": ("topic",),
    "bypassflow_store_dead_letters": ("source",),
    "bypassflow_store_bypass_share": ("channel",),
    "bypassflow_store_decided_interactions": ("channel",),
    "bypassflow_http_requests": ("path", "method", "status"),
    "bypassflow_http_request_seconds": ("path",),
}
# As `sinks.consumer.status_of` gives it.
_SAMPLE_STATUS: Final = {
    "state": "running",
    "topics": {},
    "applied": {f"{name}_count": 0 for name in APPLIED},
    "work": {"batch_count": 0, "batch_seconds": 0.0, "fold_seconds": 0.0},
    "watermark": "2024-03-04T08:00:00Z",
    "closed_through": "2024-03-04T08:00:00Z",
    "snapshot": {"age_seconds": 0.0, "seconds": 0.0, "failure_count": 0},
}


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or with --check compare them; return the exit code."""
    stale = []
    for name, text in pages().items():
        path = REFERENCE / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in arguments:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if "--check" in arguments and stale:
        print(f"stale: {', '.join(stale)}; run: make docs", file=sys.stderr)
        return 1
    print(f"{'checked' if '--check' in arguments else 'written'}: {len(stale)} of {len(pages())} pages changed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
