"""First questions to a store or a snapshot, as a notebook: open it with `marimo edit`, see docs/howto/analyse.md."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="First questions")

with app.setup:
    import json
    import os
    import urllib.parse
    import urllib.request
    from datetime import timedelta
    from pathlib import Path

    import duckdb
    import marimo as mo
    from matplotlib.figure import Figure

    from pipeline.estimate import wilson

    # Outcomes of which the number is made: what is pending is in neither part.
    DECIDED = "outcome <> 'pending'"
    UNTRACED = "outcome IN ('siloed', 'bypassed')"
    # How tables show shares.
    SHARES = {name: "{:.1%}".format for name in ("bypass_share", "bypass_share_low", "bypass_share_high")}


@app.function
def opened(source):
    """Return a connection that has the store's views: of a store's file, or of a snapshot's folder of Parquet files."""
    path = Path(source)
    connection = duckdb.connect()
    if path.is_dir():
        for file in sorted(path.glob("*.parquet")):
            place = str(file).replace("'", "''")
            connection.execute(f"CREATE VIEW \"{file.stem}\" AS FROM read_parquet('{place}')")
    else:
        place = str(path).replace("'", "''")
        connection.execute(f"ATTACH '{place}' AS store (READ_ONLY); USE store")
    return connection


@app.function
def rows_of(connection, sql, parameters=None):
    """Return what a query finds, one dictionary per row."""
    found = connection.execute(sql, parameters or {})
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@app.function
def with_share(row):
    """Return a row with `untraced_count` and `decided_count` completed by the share and its 95 % interval."""
    untraced, decided = row["untraced_count"], row["decided_count"]
    low, high = wilson(untraced, decided) or (None, None)
    share = untraced / decided if decided else None
    return {**row, "bypass_share": share, "bypass_share_low": low, "bypass_share_high": high}


@app.function
def share_by_week(connection, channels=()):
    """Return the bypass share by ISO week of the company's own days; without channels of all of them."""
    sql = """
        SELECT
            strftime(day, '%G-W%V') AS week,
            sum(siloed_count + bypassed_count)::BIGINT AS untraced_count,
            sum(traced_count + siloed_count + bypassed_count)::BIGINT AS decided_count,
            sum(pending_count)::BIGINT AS pending_count
        FROM daily_share
        WHERE len($channels::VARCHAR[]) = 0 OR list_contains($channels::VARCHAR[], channel::VARCHAR)
        GROUP BY week
        ORDER BY week
    """
    return [with_share(row) for row in rows_of(connection, sql, {"channels": list(channels)})]


@app.function
def last_two_weeks(connection):
    """Return the begin and the end of the last 14 days of which all is decided, UTC; None for an empty store.

    They end before the first pending interaction: of later ones only the traced are known.
    """
    sql = """
        SELECT
            coalesce(
                min(started_at) FILTER (outcome = 'pending'), max(started_at) + INTERVAL 1 MICROSECOND
            ) AS until
        FROM interactions
    """
    until = rows_of(connection, sql)[0]["until"]
    return None if until is None else (until - timedelta(days=14), until)


@app.function
def share_by_team(connection, since, until):
    """Return the teams' shares in a period, half open, those first that leak most for sure.

    By the lower end of the interval, so that a team with three conversations does not lead.
    """
    sql = f"""
        SELECT
            team, count(*) FILTER ({UNTRACED}) AS untraced_count, count(*) FILTER ({DECIDED}) AS decided_count
        FROM interactions
        WHERE started_at >= $since AND started_at < $until
        GROUP BY team
        HAVING decided_count > 0
        ORDER BY team
    """
    found = [with_share(row) for row in rows_of(connection, sql, {"since": since, "until": until})]
    return sorted(found, key=lambda row: row["bypass_share_low"], reverse=True)


@app.function
def delay_curve(connection, until, hours=(0, 0.25, 0.5, 1, 2, 4, 8, 12, 24, 48, 72)):
    """Return what part of the traces had been logged so many hours after the end of the conversation.

    Of conversations before `until`: of later ones only quick traces would be there.
    """
    sql = """
        SELECT
            hours, count(*) FILTER (trace_delay_seconds <= hours * 3600) AS logged_count, count(*) AS traced_count
        FROM interactions, (SELECT unnest($hours::DOUBLE[]) AS hours)
        WHERE outcome = 'traced' AND trace_delay_seconds IS NOT NULL AND started_at < $until
        GROUP BY hours
        ORDER BY hours
    """
    found = rows_of(connection, sql, {"hours": list(hours), "until": until})
    return [{**row, "logged_share": row["logged_count"] / row["traced_count"]} for row in found]


@app.function
def ten_untraced(connection, team, since, until):
    """Return the last ten interactions of a team in a period that left no trace on a customer."""
    sql = f"""
        SELECT
            interaction_id, started_at, channel::VARCHAR AS channel, direction::VARCHAR AS direction, talk_seconds,
            identifier, customer_ids, outcome::VARCHAR AS outcome, reason::VARCHAR AS reason, ticket_id
        FROM interactions
        WHERE team IS NOT DISTINCT FROM $team AND started_at >= $since AND started_at < $until AND {UNTRACED}
        ORDER BY started_at DESC, interaction_id
        LIMIT 10
    """
    return rows_of(connection, sql, {"team": team, "since": since, "until": until})


@app.function
def asked(url, path, **parameters):
    """Return what the API answers, for where only `bypassflow serve` can be reached and no file."""
    query = urllib.parse.urlencode(parameters, doseq=True)
    with urllib.request.urlopen(f"{url.rstrip('/')}{path}?{query}", timeout=60) as answer:
        return json.load(answer)


@app.function
def drawn(labels, shares, title, intervals=None):
    """Return a chart of shares, with the ends of their intervals when given; what has no share keeps its place."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    axes = figure.subplots()
    known = [place for place, share in enumerate(shares) if share is not None]
    values = [100 * shares[place] for place in known]
    lengths = None
    if intervals is not None:
        ends = [[100 * end for end in intervals[place]] for place in known]
        below = [value - low for value, (low, _) in zip(values, ends, strict=True)]
        above = [high - value for value, (_, high) in zip(values, ends, strict=True)]
        lengths = [below, above]
    axes.errorbar(known, values, lengths, marker="o", markersize=4, capsize=4)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axes.set_ylim(0, 100)
    axes.set_ylabel("%")
    axes.set_title(title, loc="left")
    axes.grid(alpha=0.3)
    return figure


@app.function
def percent(share):
    """Return a share in words.

    >>> percent(0.634)
    '63.4 %'
    """
    return "–" if share is None else f"{100 * share:.1f} %"


@app.cell(hide_code=True)
def _():
    mo.md("""
    # First questions

    The bypass share is what part of the decided interactions left no trace on a customer in the CRM.
    Change any query: the cells that depend on it run again.
    """)
    return


@app.cell
def _():
    source = mo.cli_args().get("db") or os.environ.get("BYPASSFLOW_DB") or "bypass.duckdb"
    url = mo.cli_args().get("url") or ""
    return source, url


@app.cell
def _(source):
    store = opened(source)
    return (store,)


@app.cell
def _(store):
    reach = rows_of(
        store,
        """
        SELECT
            count(*) AS interaction_count, min(started_at) AS first_at, max(started_at) AS last_at,
            count(*) FILTER (outcome = 'pending') AS pending_count
        FROM interactions
        """,
    )[0]
    mo.md(
        f"{reach['interaction_count']:,} interactions from {reach['first_at']} to {reach['last_at']} (UTC), "
        f"{reach['pending_count']:,} of them pending."
        if reach["interaction_count"]
        else "There are no interactions in it."
    )
    return (reach,)


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## How much leaks, week by week?

    Each point stands on its 95 % interval.
    A week of which interactions are pending is not over: of its last days only what was logged quickly is known.
    """)
    return


@app.cell
def _(store):
    names = [row["channel"] for row in rows_of(store, "SELECT DISTINCT channel::VARCHAR AS channel FROM daily_share")]
    channels = mo.ui.multiselect(sorted(names), label="channels, none for all")
    mo.hstack([channels], justify="start")
    return (channels,)


@app.cell
def _(channels, store):
    weeks = share_by_week(store, channels.value)
    drawn(
        [row["week"] for row in weeks],
        [row["bypass_share"] for row in weeks],
        "Bypass share by week",
        [(row["bypass_share_low"], row["bypass_share_high"]) for row in weeks],
    )
    return (weeks,)


@app.cell
def _(weeks):
    mo.ui.table(weeks, selection=None, format_mapping=SHARES)
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Which team has leaked most in the last two weeks?
    """)
    return


@app.cell
def _(store):
    period = last_two_weeks(store)
    teams = [] if period is None else share_by_team(store, *period)
    return period, teams


@app.cell
def _(period, teams):
    worst = teams[0] if teams else None
    mo.md(
        "Nothing is decided yet."
        if worst is None
        else f"**{worst['team'] or 'No known team'}**: {worst['untraced_count']:,} of {worst['decided_count']:,}, "
        f"{percent(worst['bypass_share'])} (95 % interval {percent(worst['bypass_share_low'])} to "
        f"{percent(worst['bypass_share_high'])}), from {period[0]:%Y-%m-%d %H:%M} to {period[1]:%Y-%m-%d %H:%M} (UTC)."
    )
    return (worst,)


@app.cell
def _(teams):
    mo.ui.table(teams, selection=None, format_mapping=SHARES)
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## How soon is logged what is logged?
    """)
    return


@app.cell
def _(period, store):
    delays = [] if period is None else delay_curve(store, period[1])
    drawn(
        [f"{row['hours']:g} h" for row in delays],
        [row["logged_share"] for row in delays],
        "Part of the traces logged so long after the conversation",
    )
    return (delays,)


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Ten conversations of that team without a trace

    `bypassflow explain INTERACTION_ID --db FILE` tells why each stands here.
    """)
    return


@app.cell
def _(period, store, worst):
    examples = [] if worst is None else ten_untraced(store, worst["team"], *period)
    mo.ui.table(examples, selection=None)
    return (examples,)


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## The same over the API

    Where only `bypassflow serve` can be reached, name it: `-- --url http://127.0.0.1:8765`.
    """)
    return


@app.cell
def _(url):
    answer = asked(url, "/v1/bypass-share", by="week") if url else {"rows": [], "warnings": []}
    columns = ("week", "untraced_count", "decided_count", "pending_count", *SHARES)
    told = [{name: row[name] for name in columns} for row in answer["rows"]]
    mo.vstack([mo.ui.table(told, selection=None, format_mapping=SHARES), *map(mo.md, answer["warnings"])])
    return (told,)


if __name__ == "__main__":
    app.run()
