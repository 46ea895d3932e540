"""FreeSWITCH: the documents that mod_json_cdr writes, one of each channel.

The documents of one call lie in files of their own, and which of them are written is a setting. So each talk is told
by one document that is always there and knows all of it: that of the channel which was joined to the other one (its
call flow names whom, and when). The other channel's document tells no more than that it rang.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from pipeline.errors import InvalidRecord
from pipeline.sources.call_ends import End, direction_between, end_of_number
from pipeline.sources.call_times import epoch
from pipeline.sources.freeswitch_channels import UNANSWERED_CAUSES, end_of_channel, is_plumbing, rang_in_vain
from pipeline.sources.json_records import JsonForm, first_record, form_of, json_records
from pipeline.sources.reading import head
from pipeline.sources.registry import Batch, Format, ReadContext, Recognition, Sample
from pipeline.sources.translation import Fields, renaming, translated

_FIELDS: Final = (
    "uuid", "direction", "channel_name", "originating_leg_uuid", "originator", "user_name", "sip_auth_username",
    "sip_from_user", "dialed_user", "start_epoch", "start_uepoch", "answer_epoch", "answer_uepoch", "bridge_epoch",
    "bridge_uepoch", "end_epoch", "end_uepoch", "hangup_cause", "bridge_hangup_cause", "bridge_channel",
    "last_bridge_role", "last_app", "cc_queue", "cc_side", "cc_member_session_uuid",
)  # fmt: skip
_MARKS: Final = (b'"core-uuid"', b'"channel_data"')


class FreeswitchJson:
    """Call detail records of mod_json_cdr."""

    name = "freeswitch_json"
    title = "FreeSWITCH call detail records (JSON)"
    description = (
        "What mod_json_cdr writes: one document a file, several in one, or one a line, with a-legs alone or with both. "
        "Times are read from the epochs. Mapping: field = channel variable, for switches that keep the caller's or the "
        'dialled user\'s name elsewhere, as in mapping = { user_name = "my_agent" }.'
    )
    carries = frozenset({"observation"})
    formats = (
        Format(
            "document of a channel",
            "the channel's and its partners' names, epochs, call flow, causes, last application",
            "media statistics, application log, stamps in local time",
            "records",
            "documents of 2013, 2015, 2018, 2019 and 2025 in the tests and notes of programs that read them",
        ),
    )
    lies = (
        "An answered channel is no talk: a menu, a queue and a voicemail answer too; only one that was joined counts.",
        "`direction` is the switch's view: each call comes in on one channel and goes out on another.",
        "Both documents of one call tell of the same talk; the one of the channel that was joined to the other counts.",
        "`dialed_user` names whom the dialplan rang last, not who answered; the other channel's name says that.",
        "Values of variables are URL-encoded unless encode-values is off; the call flow never is.",
        "Versions before 2016 repeat the name of the call flow; of a transferred call they tell the last talk only.",
        "Who talked in a conference room cannot be told; such calls count as answered by no person.",
    )

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on a document of mod_json_cdr."""
        if sample.is_directory:
            return None
        form = form_of(sample.head)
        if form is None:
            return None
        record = first_record(sample.head, form)
        if record is None:
            is_cut = all(mark in sample.head[:4096] for mark in _MARKS)
            return Recognition(0.9, "begins like a document of mod_json_cdr") if is_cut else None
        if "core-uuid" in record and isinstance(record.get("variables"), dict):
            return Recognition(0.95, "a channel's document of mod_json_cdr")
        return None

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of observations: of each channel its talks, or that it rang or was answered by a machine.

        Raises:
            ConfigurationError: when the mapping names a field that there is none.
            InvalidRecord: when a document is broken; what came before it is yielded first.
        """
        form = form_of(head(path)) or JsonForm("record")
        rename = renaming(context, _FIELDS, {})

        def legs(value: Mapping[str, Any]) -> Sequence[Fields]:
            variables = value.get("variables")
            if not isinstance(variables, dict):
                raise InvalidRecord("variables: expected an object; is it a document of mod_json_cdr?")
            fields = {name: unquote(str(held)).strip() for name, held in rename(variables).items()}
            return _legs(fields, _flow(value.get("callflow")))

        yield from translated(json_records(path, form), legs, context, form.unit, path.stat().st_size)


@dataclass(frozen=True)
class _Talk:
    """A stretch in which a channel was joined to another one that it had been the first to reach."""

    peer: End
    since: datetime
    answered_at: datetime
    until: datetime


@dataclass(frozen=True)
class _Step:
    """One profile of a channel's call flow: whom it reached, and from when to when they could hear each other."""

    caller: str | None
    dialled: str | None
    originator_uuid: str | None
    originator: str | None
    partner: str | None
    created: datetime | None
    joined: datetime | None
    left: datetime | None


def _legs(fields: Mapping[str, str], flow: Sequence[_Step]) -> Sequence[Fields]:
    uuid = fields.get("uuid")
    if not uuid:
        raise InvalidRecord("uuid: missing; every channel has one")
    channel_name = fields.get("channel_name", "")
    if is_plumbing(channel_name):
        return ()
    started, ended = _instant(fields, "start"), _instant(fields, "end")
    if started is None or ended is None:
        raise InvalidRecord(
            f"{'start' if started is None else 'end'}_epoch: missing; export the call when it has ended"
        )
    origin = _origin(fields, flow)
    is_called = fields.get("direction") == "outbound"
    own = end_of_channel(channel_name) if is_called else _caller(fields, flow)
    shared = {"kind": "pbx_leg", "call_id": origin or uuid, "leg_id": uuid, "queue": _queue(fields, flow)}
    talks = _talks(fields, flow, started, ended, origin)
    if talks:
        return [shared | _sides(own, talk.peer) | _course(talk) for talk in talks]
    if is_called:
        caller, called = _made_by(flow), own
    else:
        caller, called = own, end_of_number(flow[0].dialled if flow else None)
    status = _status(fields, origin)
    return [shared | _sides(caller, called) | {"started_at": started, "ended_at": ended, "status": status}]


def _flow(callflow: object) -> list[_Step]:
    """Return the profiles that a channel had, the first one first. They are written newest first."""
    entries = callflow if isinstance(callflow, list) else [callflow]
    return [_step(entry) for entry in reversed(entries) if isinstance(entry, dict)]


def _step(entry: Mapping[str, Any]) -> _Step:
    profile, times = _object(entry, "caller_profile"), _object(entry, "times")
    originator = _newest(profile, "originator")

    def moment(name: str) -> datetime | None:
        return epoch(f"callflow.times.{name}", _text(times, name), 1_000_000)

    return _Step(
        caller=_text(profile, "caller_id_number"),
        dialled=_text(profile, "destination_number"),
        originator_uuid=_text(originator, "uuid"),
        originator=_text(originator, "chan_name"),
        partner=_text(_newest(profile, "originatee"), "chan_name"),
        created=moment("profile_created_time"),
        joined=_later(moment("bridged_time"), moment("answered_time")),
        left=moment("transfer_time") or moment("hangup_time"),
    )


def _object(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    held = value.get(name)
    return held if isinstance(held, dict) else {}


def _text(value: Mapping[str, Any], name: str) -> str | None:
    held = value.get(name)
    return unquote(str(held)) if isinstance(held, (str, int)) and str(held).strip() else None


def _newest(profile: Mapping[str, Any], role: str) -> Mapping[str, Any]:
    """Return the profile of the channel that this one was last joined to in this role."""
    profiles = _object(profile, role).get(f"{role}_caller_profiles")
    first = profiles[0] if isinstance(profiles, list) and profiles else None
    return first if isinstance(first, dict) else {}


def _instant(fields: Mapping[str, str], name: str) -> datetime | None:
    exact = epoch(f"{name}_uepoch", fields.get(f"{name}_uepoch"), 1_000_000)
    return exact or epoch(f"{name}_epoch", fields.get(f"{name}_epoch"))


def _origin(fields: Mapping[str, str], flow: Sequence[_Step]) -> str | None:
    """Return the channel on whose behalf this one was made; it stays the same through transfers.

    An agent of mod_callcenter is rung on behalf of nobody, and then joined to the waiting caller.
    """
    if fields.get("originating_leg_uuid") or fields.get("originator"):
        return fields.get("originating_leg_uuid") or fields.get("originator")
    if fields.get("cc_side") == "agent" and fields.get("cc_member_session_uuid"):
        return fields["cc_member_session_uuid"]
    return next((step.originator_uuid for step in reversed(flow) if step.originator_uuid), None)


def _caller(fields: Mapping[str, str], flow: Sequence[_Step]) -> End:
    """Return who called in on a channel: the user that logged in, else the number shown."""
    user = fields.get("user_name") or fields.get("sip_auth_username")
    shown = end_of_number(flow[0].caller if flow else fields.get("sip_from_user"))
    return End(device=user, number=shown.number) if user else shown


def _made_by(flow: Sequence[_Step]) -> End:
    """Return who is calling on a channel that was rung: the telephone that it was made for, else the number shown."""
    if not flow:
        return End()
    shown = end_of_number(flow[0].caller)
    device = end_of_channel(flow[0].originator or "").device
    return End(device, shown.number) if device else shown


def _queue(fields: Mapping[str, str], flow: Sequence[_Step]) -> str | None:
    """Return the queue or ring group that a caller dialled, as far as its number is one of the switch's own."""
    if fields.get("cc_queue"):
        return fields["cc_queue"].partition("@")[0]
    if fields.get("direction") == "outbound" or not flow:
        return None
    return end_of_number(flow[0].dialled).device


def _talks(
    fields: Mapping[str, str], flow: Sequence[_Step], started: datetime, ended: datetime, origin: str | None
) -> list[_Talk]:
    steps = flow if any(step.joined for step in flow) else _steps_of_channel(fields, origin)
    talks: list[_Talk] = []
    for step in steps:
        # What early media is heard of a partner that never answers is no talk, though the caller may be answered.
        is_in_vain = step is steps[-1] and fields.get("bridge_hangup_cause") in UNANSWERED_CAUSES
        if step.partner is None or step.joined is None or is_in_vain:
            continue
        peer, until = end_of_channel(step.partner, fields.get("dialed_user")), min(step.left or ended, ended)
        if not peer.is_machine and until > step.joined:
            since = step.created if talks and step.created else started
            talks.append(_Talk(peer, min(since, step.joined), step.joined, until))
    return talks


def _steps_of_channel(fields: Mapping[str, str], origin: str | None) -> Sequence[_Step]:
    """Return the last talk, from the variables alone: what versions leave that write the call flow in another way."""
    role, partner = fields.get("last_bridge_role"), fields.get("bridge_channel")
    if role == "originatee" or (origin and role != "originator"):
        return ()
    joined = _later(_instant(fields, "bridge"), _instant(fields, "answer"))
    return (_Step(None, None, None, None, partner, None, joined, None),)


def _later(bridged: datetime | None, answered: datetime | None) -> datetime | None:
    return max(bridged, answered) if bridged and answered else None


def _sides(caller: End, called: End) -> Fields:
    return {
        "direction": direction_between(caller, called),
        "from": caller.number,
        "from_device": caller.device,
        "to": called.number,
        "to_device": called.device,
    }


def _course(talk: _Talk) -> Fields:
    return {"started_at": talk.since, "answered_at": talk.answered_at, "ended_at": talk.until, "status": "answered"}


def _status(fields: Mapping[str, str], origin: str | None) -> str:
    """Return what became of a channel that tells of no talk."""
    if _instant(fields, "answer") is None:
        return rang_in_vain(fields.get("hangup_cause"))
    # A channel that was reached by another one may well have talked; the other one's document tells it.
    return "voicemail" if fields.get("last_app") == "voicemail" and not origin else "ivr"


SOURCE: Final = FreeswitchJson()
