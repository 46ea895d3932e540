"""Large logs of a plain fictitious company, written fast: what the benchmarks read.

Nothing here is subtle; `bypassflow simulate` is for that. Volume is: rows are made by DuckDB from their number alone,
so ten million take minutes and no memory. A day has a fixed number of rows, so more rows are a longer history.
"""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import Final

import duckdb

ROWS_PER_DAY: Final = 20_000
REPRESENTATIVES: Final = 400
CUSTOMERS_PER_ROW: Final = 0.05
ACTIVITIES_PER_ROW: Final = 0.25
_FIRST_DAY: Final = 1_704_067_200  # Monday 1 January 2024, 0:00 UTC
_OPENS: Final = 7 * 3600
_OPEN_SECONDS: Final = 10 * 3600

# Legs of ten calls in a row: twenty rows. A row's place in the pattern says which call and leg it is.
_LEGS: Final = (1, 3, 1, 2, 1, 4, 2, 1, 3, 2)
_ROWS_PER_PATTERN: Final = sum(_LEGS)
_CALLS_PER_PATTERN: Final = len(_LEGS)
_CALL_OF: Final = [call for call, legs in enumerate(_LEGS) for _ in range(legs)]
_LEG_OF: Final = [leg for legs in _LEGS for leg in range(legs)]
_LEG_COUNT_OF: Final = [legs for legs in _LEGS for _ in range(legs)]
_SECONDS_PER_CALL: Final = _OPEN_SECONDS / (ROWS_PER_DAY * _CALLS_PER_PATTERN / _ROWS_PER_PATTERN)
_CALLS_PER_DAY: Final = ROWS_PER_DAY * _CALLS_PER_PATTERN // _ROWS_PER_PATTERN

_CONFIGURATION: Final = """\
[company]
name = "Benchmark Oy"
domains = ["benchmark.example"]
region = "FI"
timezone = "Europe/Helsinki"
directory = "directory.csv"
outside_prefixes = ["0"]
"""


def write_calls(path: Path, rows: int, seed: int = 1) -> None:
    """Write a company with so many call records of one Asterisk, in the order of their ends, and its CRM.

    A call has one to four rows; one customer in twenty rows, some of them heavy; one activity in four rows,
    minutes to a day after its call. Same arguments and DuckDB, same bytes.
    """
    for folder in ("asterisk", "salesforce"):
        (path / folder).mkdir(parents=True, exist_ok=True)
    customers = max(20, int(rows * CUSTOMERS_PER_ROW))
    with duckdb.connect() as database:
        database.execute(
            "SET enable_progress_bar = false; SET memory_limit = '1GB'; SET preserve_insertion_order = true"
        )
        _define_functions(database, customers, seed)
        _copy(database, path / "asterisk" / "Master.csv", _call_records(rows), "")
        activities = int(rows * ACTIVITIES_PER_ROW)
        header = '"Id","WhoId","Subject","ActivityDate","Status","IsClosed","OwnerId","Type","TaskSubtype",'
        header += '"CallType","CreatedDate","CreatedById","LastModifiedDate","IsDeleted"'
        _copy(database, path / "salesforce" / "Task.csv", _tasks(activities), header)
        header = (
            '"Id","AccountId","FirstName","LastName","Phone","MobilePhone","Email","CreatedDate","LastModifiedDate",'
        )
        _copy(database, path / "salesforce" / "Contact.csv", _contacts(customers), header + '"IsDeleted"')
        header = '"Id","Username","Alias","Email","FirstName","LastName","IsActive","CreatedDate"'
        _copy(database, path / "salesforce" / "User.csv", _USERS, header)
    _write_company(path)


def write_mail(path: Path, messages: int, seed: int = 1) -> None:
    """Write so many messages into one mbox, a third of them outbound, every eighth a second copy of the one before."""
    (path / "mail").mkdir(parents=True, exist_ok=True)
    customers = max(20, messages // 10)
    with (path / "mail" / "archive.mbox").open("wb", buffering=1 << 20) as stream:
        for number in range(messages):
            stream.write(_message(number - (number % 8 == 7), customers, seed))
    _write_company(path)


def _copy(database: duckdb.DuckDBPyConnection, path: Path, query: str, header: str) -> None:
    """Write the one column of a query as lines, as they are."""
    target = str(path).replace("'", "''")
    if header:
        query = f"SELECT '{header}' AS line UNION ALL {query}"
    database.execute(f"COPY ({query}) TO '{target}' (FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER '\x01')")


def _define_functions(database: duckdb.DuckDBPyConnection, customers: int, seed: int) -> None:
    """Define what follows from a call's number: 60 random bits, and from them everything about the call."""
    database.execute(f"""
        CREATE MACRO bits(call) AS md5_number_lower(concat('{int(seed)}/', call));
        CREATE MACRO share(bits, place) AS ((bits >> place) & 1023)::DOUBLE / 1024;
        CREATE MACRO customer_of(bits) AS
            ({customers} * pow(((bits & 1048575)::DOUBLE / 1048576), 1.7))::BIGINT % {customers};
        CREATE MACRO number_of(customer) AS lpad(((customer * 7654321 + 1234567) % 10000000)::VARCHAR, 7, '0');
        CREATE MACRO ended_at(call) AS {_FIRST_DAY} + (call // {_CALLS_PER_DAY}) * 86400 + {_OPENS}
            + ((call % {_CALLS_PER_DAY}) * {_SECONDS_PER_CALL})::BIGINT;
        CREATE MACRO talk_of(bits) AS 3 + (240 * share(bits, 20) * share(bits, 30) * 3)::BIGINT;
        CREATE MACRO is_answered(bits) AS share(bits, 40) < 0.8;
        CREATE MACRO representative_of(bits) AS ((bits >> 50) & 16383)::BIGINT % {REPRESENTATIVES};
        CREATE MACRO text_of(epoch) AS strftime(make_timestamp(epoch * 1000000), '%Y-%m-%d %H:%M:%S');
        CREATE MACRO salesforce_text_of(epoch) AS strftime(make_timestamp(epoch * 1000000),
            '%Y-%m-%dT%H:%M:%S.000+0000');
    """)


def _call_records(rows: int) -> str:
    """Return the query of the CDR lines. Single legs alternate between calls in and out; the others are ring groups."""
    return f"""
        WITH places AS (
            SELECT i AS row, i // {_ROWS_PER_PATTERN} * {_CALLS_PER_PATTERN} + {_CALL_OF}[place] AS call,
                {_LEG_OF}[place] AS leg, {_LEG_COUNT_OF}[place] AS legs
            FROM (SELECT i, i % {_ROWS_PER_PATTERN} + 1 AS place FROM range({int(rows)}) AS rows(i))
        ), calls AS (
            SELECT *, bits(call) AS b, ended_at(call) AS e FROM places
        ), legs AS (
            SELECT *, is_answered(b) AND leg = representative_of(b) % legs AS won,
                legs = 1 AND b & 1 = 1 AS is_outbound,
                number_of(customer_of(b)) AS subscriber, 4 + (b & 15)::BIGINT AS ring,
                CASE WHEN is_answered(b) THEN talk_of(b) ELSE 0 END AS talk,
                2000 + (representative_of(b) - representative_of(b) % legs + leg) % {REPRESENTATIVES} AS extension
            FROM calls
        ), lines AS (
            SELECT *, e - talk - ring AS s, e - talk AS a, CASE WHEN won THEN e ELSE e - talk END AS z,
                CASE WHEN is_outbound THEN extension::VARCHAR ELSE 'trunk' END AS caller,
                CASE WHEN is_outbound THEN 'trunk' ELSE extension::VARCHAR END AS called,
                CASE b & 6 WHEN 0 THEN '0' WHEN 2 THEN '00358' ELSE '+358' END || '47' || subscriber AS shown
            FROM legs
        )
        SELECT concat(
            '"",', CASE WHEN is_outbound
                THEN concat('"', extension, '","0047', subscriber, '","from-internal","', extension)
                ELSE concat('"', shown, '","0480110000","from-trunk","', shown) END,
            '","PJSIP/', caller, '-', lpad(call::VARCHAR, 8, '0'), '","PJSIP/', called, '-', lpad(row::VARCHAR, 8, '0'),
            '","Dial","PJSIP/', called, ',25","',
            text_of(s), '",', CASE WHEN won THEN concat('"', text_of(a), '"') ELSE '' END, ',"', text_of(z), '",',
            z - s, ',', CASE WHEN won THEN z - a ELSE 0 END, ',"', CASE WHEN won THEN 'ANSWERED' ELSE 'NO ANSWER' END,
            '","DOCUMENTATION","', s, '.', call, '","","","', s, '.', call, '",', row
        ) AS line FROM lines
    """


def _tasks(count: int) -> str:
    """Return the query of the activities: of every second call, by the representative whom it rang first."""
    return f"""
        SELECT concat(
            '"00T', lpad(i::VARCHAR, 12, '0'), 'EAA","003', lpad(customer_of(b)::VARCHAR, 12, '0'), 'AAA","Puhelu","',
            left(text_of(logged), 10), '","Completed","true","', owner, '","Call","Call","","',
            salesforce_text_of(logged), '","', owner, '","', salesforce_text_of(logged), '","false"'
        ) FROM (
            SELECT i, bits(2 * i) AS b,
                concat('005', lpad(representative_of(bits(2 * i))::VARCHAR, 12, '0'), 'AAA') AS owner,
                ended_at(2 * i) + 60 + (pow(share(bits(2 * i), 10), 4) * 86400)::BIGINT AS logged
            FROM range({int(count)}) AS numbers(i)
        )
    """


def _contacts(count: int) -> str:
    return f"""
        SELECT concat(
            '"003', lpad(i::VARCHAR, 12, '0'), 'AAA","","Asiakas","', i, '","', CASE i % 4
                WHEN 0 THEN concat('+358 47 ', left(n, 3), ' ', right(n, 4)) WHEN 1 THEN concat('047-', n)
                WHEN 2 THEN concat('047 ', left(n, 3), ' ', right(n, 4)) ELSE concat('+35847', n) END,
            '","","asiakas', i, '@yritys', i % 5000, '.example","2023-06-01T08:00:00.000+0000",',
            '"2023-06-01T08:00:00.000+0000","false"'
        ) FROM (SELECT i, number_of(i) AS n FROM range({int(count)}) AS numbers(i))
    """


_USERS: Final = f"""
    SELECT concat(
        '"005', lpad(i::VARCHAR, 12, '0'), 'AAA","r', i, '@benchmark.example","r', i, '","r', i,
        '@benchmark.example","R","', i, '","true","2023-06-01T08:00:00.000+0000"'
    ) FROM range({REPRESENTATIVES}) AS numbers(i)
"""


def _write_company(path: Path) -> None:
    """Write the directory, and a configuration with a source for each folder there."""
    lines = ["representative_id,name,email,extension,direct_number,mobile_number,team,function"]
    for i in range(REPRESENTATIVES):
        team, function = ("Service", "contact_center") if i % 4 == 0 else (f"Team {i % 4}", "other")
        lines.append(f"r{i},Representative {i},r{i}@benchmark.example,{2000 + i},,,{team},{function}")
    (path / "directory.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    text = _CONFIGURATION
    for name in ("asterisk", "mail", "salesforce"):
        if (path / name).is_dir():
            text += f'\n[[source]]\nname = "{name}"\npath = "{name}"\n' + 'timezone = "UTC"\n' * (name == "asterisk")
    (path / "bypassflow.toml").write_text(text, encoding="utf-8")


def _message(number: int, customers: int, seed: int) -> bytes:
    digest = blake2b(b"%d/%d" % (seed, number), digest_size=16).digest()
    customer = int.from_bytes(digest[:4], "big") % customers
    theirs = f"asiakas{customer}@yritys{customer % 5000}.example"
    ours = f"r{int.from_bytes(digest[4:6], 'big') % REPRESENTATIVES}@benchmark.example"
    sender, receiver = (ours, theirs) if digest[6] % 3 == 0 else (theirs, ours)
    day, second = number // (ROWS_PER_DAY // 4), number % (ROWS_PER_DAY // 4) * 7
    date = f"{1 + day % 28:02d} {_MONTHS[day // 28 % 12]} {2024 + day // 336}"
    clock = f"{7 + second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
    return (
        f"From {sender} Mon Jan  1 00:00:00 2024\nReturn-Path: <{sender}>\n"
        f"Received: from mx.example (mx.example [192.0.2.1]) by mx.benchmark.example; {date} {clock} +0000\n"
        f"Date: {date} {clock} +0000\nFrom: Joku <{sender}>\nTo: {receiver}\nSubject: Tarjous {number % 9973}\n"
        f"Message-ID: <{number}.{digest.hex()}@mail.example>\nMIME-Version: 1.0\n"
        f"Content-Type: text/plain; charset=utf-8\n\nHei,\n\nasia on kunnossa.\n\n"
    ).encode()


_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
