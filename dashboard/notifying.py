"""What alerts and digests say, and that it arrives: first everything to be said is kept, then it is delivered.

A message leaves what is kept when it was delivered. A process that ends in between delivers it once more, and none is
lost. Where a message goes is a secret, and is never told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from dashboard.delivering import Deliver
from dashboard.pages.languages import Language
from dashboard.wording import GistTold
from pipeline.alerting import AlertNews, Rule, Standing, judge, last_due
from pipeline.errors import ConfigurationError, TransientError
from schemas.alerting import AlertSettings, DigestSettings, Notice
from sinks import alerting
from sinks.alerting import Letter, Seen, Standings
from sinks.answers import Answers
from sinks.gist import Gist


def _(message: str) -> str:
    return message


_TITLES: Final[Mapping[AlertNews, str]] = {
    AlertNews.RAISED: _("Alert: %(name)s"),
    AlertNews.REMINDED: _("Still: %(name)s"),
    AlertNews.RESOLVED: _("Over: %(name)s"),
}


class Notices(Protocol):
    """The alerts and digests of a configuration."""

    @property
    def alert(self) -> Sequence[AlertSettings]: ...

    @property
    def digest(self) -> Sequence[DigestSettings]: ...


def decide(asked: Answers, notices: Notices, standings: Standings, now: datetime) -> list[str]:
    """Put what is to be said now into the outbox; return what is wrong with an alert that could not be looked at.

    What is configured no more is forgotten, and what waits of it.

    Raises:
        TransientError: when nobody answers.
    """
    zone = asked.timezone()
    _readdress(standings, notices)
    wrong = []
    for alert in notices.alert:
        try:
            seen = asked.look(alert.kind, alert.days, alert.wanted, now)
        except ConfigurationError as error:
            wrong.append(f"alert {alert.name!r}: {error}")
            seen = Seen(None)
        raised, cleared = alert.bounds
        rule = Rule(raised, cleared, alert.remind_after)
        told, standing = judge(rule, standings.alerts.get(alert.name, Standing()), seen.value, now)
        standings.alerts[alert.name] = standing
        if told is not None:
            t = Language(alert.language, zone)
            title = t.say(_TITLES[told], name=alert.name)
            _post(standings, alert, title, alert_text(t, alert, seen, standing))
    for digest in notices.digest:
        t = Language(digest.language, zone)
        due = last_due(digest.every, digest.at, t.zone, now)
        sent = standings.digests.get(digest.name)
        if sent is None or sent < due:
            standings.digests[digest.name] = due
            _post(standings, digest, digest.name, digest_text(t, asked.gist(digest.day_count, digest.wanted)))
    standings.alerts = {each.name: standings.alerts[each.name] for each in notices.alert}
    standings.digests = {each.name: standings.digests[each.name] for each in notices.digest}
    return wrong


def deliver(standings: Standings, kept: Path, hand_over: Deliver) -> list[tuple[Letter, str | None]]:
    """Deliver what waits, and keep what remains after each; return what could not be delivered, and why if known.

    An address that is none holds back its own messages alone.
    """
    failed: list[tuple[Letter, str | None]] = []
    for letter in list(standings.outbox):
        try:
            arrived, why = hand_over(letter.variable, letter.title, letter.body), None
        except (ConfigurationError, TransientError) as error:
            arrived, why = False, str(error)
        if arrived:
            standings.outbox.remove(letter)
            alerting.save(kept, standings)
        else:
            failed.append((letter, why))
    return failed


def check_variables(notices: Notices, environment: Mapping[str, str]) -> None:
    """Raise a ConfigurationError when a variable that is named is not set: before anything is looked at."""
    for notice in (*notices.alert, *notices.digest):
        for variable in notice.to_env:
            if not environment.get(variable, "").strip():
                raise ConfigurationError(
                    f"{notice.name!r} goes to the address in the environment variable {variable}, which is not set"
                )


# -- what is said ------------------------------------------------------------------------------------------------------


def alert_text(t: Language, alert: AlertSettings, seen: Seen, standing: Standing) -> str:
    """Return what an alert says of what was seen."""
    raised, cleared = alert.bounds
    lines = []
    if alert.kind == "share" and seen.value is not None:
        row = seen.row
        lines.append(
            t.say(
                "Of %(decided)s interactions that are decided, %(untraced)s left no trace on a customer in the CRM.",
                decided=t.count(row["decided_count"]),
                untraced=t.count(row["siloed_count"] + row["bypassed_count"]),
            )
        )
        lines.append(
            t.say(
                "Bypass share %(share)s, 95 %% interval %(interval)s; raised when the lower end is %(raised)s or more, "
                "over when it is below %(cleared)s.",
                share=t.percent(row["bypass_share"]),
                interval=t.interval(row["bypass_share_low"], row["bypass_share_high"]),
                raised=t.percent(raised),
                cleared=t.percent(cleared),
            )
        )
        lines += [f"{t.title(name)}: {', '.join(values)}" for name, values in alert.wanted.items()]
    elif alert.kind == "silence":
        lines += seen.sentences or (t.say("No source is silent any more."),)
    elif seen.value is not None:
        lines.append(
            t.say(
                "%(rejected)s of %(raw)s raw events could not be used (%(share)s); raised at %(raised)s.",
                rejected=t.count(seen.row["rejected_count"]),
                raw=t.count(seen.row["raw_count"]),
                share=t.percent(seen.value),
                raised=t.percent(raised),
            )
        )
    if standing.raised_at is not None:
        lines.append(t.say("Since %(moment)s.", moment=t.moment(standing.raised_at)))
    return "\n".join(lines)


def digest_text(t: Language, gist: Gist) -> str:
    """Return the number with what leaks most, in a few lines."""
    report = GistTold(**vars(gist), language=t)
    row = report.overall
    lines = [report.about()]
    if not row["decided_count"]:
        return "\n".join([*lines, t.say("Nothing is decided in this period.")])
    interval = t.interval(row["bypass_share_low"], row["bypass_share_high"])
    lines.append(f"{t.say('Bypass share')}: {t.percent(row['bypass_share'])} ({t.say('95 % interval')} {interval})")
    if changed := report.changed():
        lines.append(changed)
    lines += ["", t.say("Which leaks most, for sure?")]
    for number, each in enumerate(report.leaks, 1):
        group = f"{t.group('team', each['team'])}, {t.title(each['channel'])}"
        lines.append(f"{number}. {group}: {report.leak(each)}")
    return "\n".join([*lines, "", t.say("How sure is that?"), *report.doubts()])


def _post(standings: Standings, notice: Notice, title: str, body: str) -> None:
    for variable in dict.fromkeys(notice.to_env):
        standings.post(Letter(notice.name, variable, title, body))


def _readdress(standings: Standings, notices: Notices) -> None:
    """Forget what waits of a notice that is no more; send what waits for a variable it has no more to those it has."""
    variables = {each.name: each.to_env for each in (*notices.alert, *notices.digest)}
    waiting, standings.outbox = standings.outbox, []
    for letter in waiting:
        current = variables.get(letter.name, ())
        for variable in (letter.variable,) if letter.variable in current else dict.fromkeys(current):
            standings.post(replace(letter, variable=variable))
