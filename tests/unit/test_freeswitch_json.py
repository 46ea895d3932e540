"""FreeSWITCH's JSON documents: one interaction of each call, whichever of its channels' documents are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.freeswitch_json import SOURCE
from pipeline.sources.registry import Batch, Sample
from tests import parsing
from tests.parsing import letters, rows
from tests.parsing import phone as token
from tests.records import person

CUSTOMER, OTHER, COMPANY = "+358401234567", "+358407654321", "+358942450000"
START = 1709629200  # 2024-03-05 09:00:00 UTC
A, B, C, D = (f"{each}0d2c5a8-0001-4f3e-9b7a-5f0e6d7c8b9a" for each in "abcd")
TRUNK, PHONE, OTHER_PHONE = f"sofia/external/{CUSTOMER}@192.0.2.1", "sofia/internal/201@192.0.2.7:5060", "202@192.0.2.8"
DIRECTORY = (person("alice", extension="201"), person("bo", extension="202"))


def micros(second: float | None) -> str:
    """Return what a document says of the instant so many seconds after the start of the tests' calls; 0 for never."""
    return "0" if second is None else str(int((START + second) * 1_000_000))


def step(
    caller: str = CUSTOMER,
    dialled: str = COMPANY,
    partner: str | None = None,
    joined: float | None = None,
    left: float | None = None,
    *,
    origin: str | None = None,
    origin_name: str = TRUNK,
    created: float = 0,
    answered: float | None = None,
    is_last: bool = True,
) -> dict[str, Any]:
    """Return a profile of a call flow. `partner`: the channel that it reached; `origin`: the one that reached it."""
    profile: dict[str, Any] = {"username": "", "caller_id_number": caller, "destination_number": dialled}
    if partner:
        profile["originatee"] = {"originatee_caller_profiles": [{"chan_name": partner, "destination_number": dialled}]}
    if origin:
        profile["originator"] = {"originator_caller_profiles": [{"uuid": origin, "chan_name": origin_name}]}
    times = {
        "created_time": micros(0),
        "profile_created_time": micros(created),
        "answered_time": micros(joined if answered is None else answered),
        "bridged_time": micros(joined),
        "transfer_time": micros(None if is_last else left),
        "hangup_time": micros(left if is_last else None),
    }
    return {"dialplan": "XML", "profile_index": "1", "caller_profile": profile, "times": times}


def channel(
    uuid: str,
    name: str,
    flow: Sequence[Mapping[str, Any]],
    end: float,
    *,
    answered: float | None = None,
    is_called: bool = False,
    is_encoded: bool = True,
    **variables: Any,
) -> dict[str, Any]:
    """Return a channel's document; its call flow is given in the order in which it came to be."""
    direction = "outbound" if is_called else "inbound"
    said = {
        "direction": direction,
        "uuid": uuid,
        "channel_name": name,
        "start_epoch": str(START),
        "start_uepoch": micros(0),
        "answer_epoch": str(START + int(answered)) if answered is not None else "0",
        "answer_uepoch": micros(answered),
        "end_epoch": str(int(START + end)),
        "end_uepoch": micros(end),
        "hangup_cause": "NORMAL_CLEARING",
        "start_stamp": "2024-03-05 11:00:00",
        **variables,
    }
    return {
        "core-uuid": "0f0e6d7c-0000-4f3e-9b7a-5f0e6d7c8b9a",
        "switchname": "switch",
        "channel_data": {"state": "CS_REPORTING", "direction": direction, "state_number": "11"},
        "variables": {key: quote(value, safe="") if is_encoded else value for key, value in said.items()},
        "app_log": {"applications": [{"app_name": "bridge", "app_data": "user/201"}]},
        "callflow": list(reversed(flow)),
    }


def caller_channel(**variables: Any) -> dict[str, Any]:
    """Return the document of a customer's channel that telephone 201 answered after 10 s, for 80 s."""
    flow = [step(partner=PHONE, joined=10, left=90)]
    return channel(A, TRUNK, flow, 90, answered=10, bridge_channel=PHONE, last_bridge_role="originator", **variables)


def called_channel(**variables: Any) -> dict[str, Any]:
    """Return the document of telephone 201's channel in the same call."""
    flow = [step(dialled="201", joined=10, left=90, origin=A)]
    told = {"originating_leg_uuid": A, "originator": A, "bridge_channel": TRUNK, "last_bridge_role": "originatee"}
    return channel(B, PHONE, flow, 90, answered=10, is_called=True, **(told | variables))


def rung_channel(uuid: str, name: str, origin: str | None = A, **variables: Any) -> dict[str, Any]:
    """Return the document of a telephone that rang for 10 s and was not answered."""
    flow = [step(dialled="202", left=10, origin=origin)]
    told = {"hangup_cause": "LOSE_RACE"} | ({"originating_leg_uuid": origin} if origin else {})
    return channel(uuid, name, flow, 10, is_called=True, **(told | variables))


def written(folder: Path, *documents: Mapping[str, Any], as_lines: bool = True, name: str = "calls.cdr.json") -> Path:
    path = folder / name
    if as_lines:
        path.write_bytes(b"".join(orjson.dumps(document) + b"\n" for document in documents))
    else:
        path.write_bytes(b"".join(orjson.dumps(document, option=orjson.OPT_INDENT_2) for document in documents))
    return path


def batches(path: Path, mapping: Mapping[str, str] | None = None) -> list[Batch]:
    return parsing.batches(SOURCE, path, mapping)


def told(folder: Path, *documents: Mapping[str, Any]) -> list[dict[str, Any]]:
    return parsing.interactions(batches(written(folder, *documents)), DIRECTORY)


def facts(folder: Path, *documents: Mapping[str, Any]) -> list[dict[str, Any]]:
    return rows(batches(written(folder, *documents)))


def test_a_call_is_one_interaction_whichever_of_its_documents_are_there(tmp_path: Path) -> None:
    for documents in ([caller_channel()], [caller_channel(), called_channel()], [called_channel(), caller_channel()]):
        (found,) = told(tmp_path, *documents)

        assert (found["token"], found["direction"]) == (token(CUSTOMER), "inbound")
        assert (found["representative_id"], found["talk_seconds"]) == ("alice", 80)
        assert found["started_at"] == datetime(2024, 3, 5, 9)


def test_documents_in_files_of_their_own_are_one_call(tmp_path: Path) -> None:
    read: list[Batch] = []
    for document in (called_channel(), caller_channel()):
        uuid = document["variables"]["uuid"]
        read += batches(written(tmp_path, document, as_lines=False, name=f"{uuid}.cdr.json"))

    (found,) = parsing.interactions(read, DIRECTORY)

    assert (found["token"], found["representative_id"], found["talk_seconds"]) == (token(CUSTOMER), "alice", 80)


def test_the_facts_of_both_channels(tmp_path: Path) -> None:
    caller, called = facts(tmp_path, caller_channel(), called_channel())

    assert (caller["channel"], caller["line"], caller["attempt"]) == ("call", "pbx", "talk")
    assert (caller["from_token"], caller["from_endpoint"]) == (token(CUSTOMER), None)
    assert (caller["to_token"], caller["to_endpoint"]) == (None, "201")
    assert caller["answered_at"] == datetime(2024, 3, 5, 9, 0, 10)
    assert caller["ended_at"] == datetime(2024, 3, 5, 9, 1, 30)
    assert (caller["talk_seconds"], caller["direction"]) == (80, "inbound")
    assert (caller["session_id"], caller["event_id"]) == (A, A)
    assert (called["session_id"], called["event_id"]) == (A, B)
    assert (called["attempt"], called["talk_seconds"], called["to_endpoint"]) == ("no_human", 0, "201")
    assert caller["key"] == called["key"]
    assert called["via_endpoint"] is None  # the telephone is no queue


@pytest.mark.parametrize("is_encoded", [True, False])
def test_variables_are_read_whether_they_are_url_encoded_or_not(tmp_path: Path, is_encoded: bool) -> None:
    flow = [step("201", OTHER, f"sofia/gateway/operator/{OTHER}", 5, 65)]
    name = "sofia/internal/maija virtanen@192.0.2.7"
    document = channel(A, name, flow, 65, answered=5, is_encoded=is_encoded, user_name="maija virtanen")

    (found,) = facts(tmp_path, document)

    assert found["from_endpoint"] == "maija virtanen"
    assert (found["to_token"], found["direction"]) == (token(OTHER), "outbound")


def test_a_number_with_a_plus_in_the_call_flow_is_not_decoded_to_a_blank(tmp_path: Path) -> None:
    (found,) = facts(tmp_path, caller_channel())

    assert found["from_token"] == token(CUSTOMER)


def test_a_call_from_a_telephone_goes_out(tmp_path: Path) -> None:
    trunk, phone = f"sofia/gateway/operator/{OTHER}", "sofia/internal/201@192.0.2.7"
    caller = channel(A, phone, [step("201", OTHER, trunk, 5, 65)], 65, answered=5, user_name="201")
    rung = step(COMPANY, OTHER, joined=5, left=65, origin=A, origin_name=phone)
    called = channel(B, trunk, [rung], 65, answered=5, is_called=True, originator=A)

    (found,) = told(tmp_path, caller, called)

    assert (found["token"], found["direction"]) == (token(OTHER), "outbound")
    assert (found["representative_id"], found["talk_seconds"]) == ("alice", 60)


def test_a_call_between_two_telephones_is_internal(tmp_path: Path) -> None:
    document = channel(
        A, "sofia/internal/201@192.0.2.7", [step("201", "202", f"sofia/internal/{OTHER_PHONE}", 5, 65)], 65, answered=5
    )

    (found,) = facts(tmp_path, document)

    assert (found["direction"], found["from_endpoint"], found["to_endpoint"]) == ("internal", "201", "202")
    assert told(tmp_path, document) == []


def test_of_a_ring_group_only_who_answered_counts(tmp_path: Path) -> None:
    caller = caller_channel(dialed_user="202")  # the one who was rung last
    caller["callflow"][0]["caller_profile"]["destination_number"] = "600"
    lost = rung_channel(C, f"sofia/internal/{OTHER_PHONE}")

    (found,) = told(tmp_path, lost, caller, called_channel())
    leg, joined = facts(tmp_path, lost, caller)

    assert (found["representative_id"], found["talk_seconds"]) == ("alice", 80)
    assert (leg["attempt"], leg["to_endpoint"], leg["session_id"]) == ("unanswered", "202", A)
    assert joined["via_endpoint"] == "600"


def test_a_transferred_call_counts_for_both_who_talked(tmp_path: Path) -> None:
    flow = [
        step(partner=PHONE, joined=10, left=40, is_last=False),
        step(dialled="202", partner=f"sofia/internal/{OTHER_PHONE}", joined=50, left=110, created=40, answered=10),
    ]
    caller = channel(A, TRUNK, flow, 110, answered=10)

    first, second = facts(tmp_path, caller)
    (found,) = told(tmp_path, caller, called_channel())

    assert (first["to_endpoint"], first["talk_seconds"]) == ("201", 30)
    assert (second["to_endpoint"], second["talk_seconds"]) == ("202", 60)
    assert second["started_at"] == datetime(2024, 3, 5, 9, 0, 40)
    assert (found["representative_id"], found["talk_seconds"]) == ("bo", 90)


def test_time_in_a_menu_that_answers_first_is_no_talk(tmp_path: Path) -> None:
    caller = channel(A, TRUNK, [step(partner=PHONE, joined=40, left=100, answered=2)], 100, answered=2)

    (found,) = facts(tmp_path, caller)

    assert (found["talk_seconds"], found["answered_at"]) == (60, datetime(2024, 3, 5, 9, 0, 40))


def test_early_media_of_an_answer_that_came_later_is_no_talk(tmp_path: Path) -> None:
    caller = channel(A, TRUNK, [step(partner=PHONE, joined=3, left=100, answered=20)], 100, answered=20)

    assert facts(tmp_path, caller)[0]["talk_seconds"] == 80


@pytest.mark.parametrize("application", ["voicemail", "ivr", "playback"])
def test_what_a_machine_answered_is_no_talk(tmp_path: Path, application: str) -> None:
    document = channel(A, TRUNK, [step(left=60, answered=2)], 60, answered=2, last_app=application)

    (found,) = facts(tmp_path, document)

    assert (found["attempt"], found["talk_seconds"]) == ("no_human", 0)
    assert (found["from_token"], found["to_token"]) == (token(CUSTOMER), token(COMPANY))
    assert told(tmp_path, document) == []


def test_a_voicemail_that_a_rung_channel_played_is_a_machine_too(tmp_path: Path) -> None:
    loop = "loopback/app=voicemail:default 192.0.2.1 201-a"
    caller = channel(A, TRUNK, [step(partner=loop, joined=10, left=60)], 60, answered=10)
    ends = [channel(each, loop, [step()], 60, answered=10, is_called=True) for each in (B, C)]

    (found,) = facts(tmp_path, caller, *ends)

    assert (found["attempt"], found["event_id"]) == ("no_human", A)


def test_the_switchs_own_channels_are_passed_over_with_one_warning(tmp_path: Path) -> None:
    loop = channel(B, "loopback/201-b", [step()], 60, answered=10)

    (batch,) = batches(written(tmp_path, loop, caller_channel(), {**loop}))

    assert len(rows([batch])) == 1
    assert batch.record_count == 1
    assert len(batch.warnings) == 1


@pytest.mark.parametrize("cause", ["NO_ANSWER", "USER_BUSY", "ORIGINATOR_CANCEL"])
def test_a_call_that_nobody_answered(tmp_path: Path, cause: str) -> None:
    document = channel(A, TRUNK, [step(dialled="201", left=30)], 30, hangup_cause=cause)

    (found,) = facts(tmp_path, document)

    assert (found["attempt"], found["to_endpoint"], found["direction"]) == ("unanswered", "201", "inbound")
    assert told(tmp_path, document) == []


def test_a_partner_that_never_answered_did_not_talk_though_the_caller_heard_it_ring(tmp_path: Path) -> None:
    caller = caller_channel(bridge_hangup_cause="NO_ANSWER")

    assert [row["attempt"] for row in facts(tmp_path, caller)] == ["no_human"]


def test_an_agent_of_a_call_centre_belongs_to_the_call_of_the_waiting_caller(tmp_path: Path) -> None:
    flow = [step(dialled="7000", partner=PHONE, joined=30, left=90, answered=1)]
    caller = channel(A, TRUNK, flow, 90, answered=1, cc_queue="sales@pbx.example", cc_side="member")
    agent = channel(
        B, PHONE, [step("7000", "201", left=90)], 90, answered=25, is_called=True, cc_side="agent",
        cc_member_session_uuid=A, last_bridge_role="originatee",
    )  # fmt: skip

    first, second = facts(tmp_path, caller, agent)
    (found,) = told(tmp_path, agent, caller)

    assert (first["via_endpoint"], first["talk_seconds"]) == ("sales", 60)
    assert (second["session_id"], second["attempt"]) == (A, "no_human")
    assert (found["representative_id"], found["talk_seconds"], found["token"]) == ("alice", 60, token(CUSTOMER))


def test_a_telephone_that_a_program_rings_and_then_connects(tmp_path: Path) -> None:
    flow = [step(COMPANY, "201", f"sofia/gateway/operator/{OTHER}", 12, 72, answered=4)]
    document = channel(A, PHONE, flow, 72, answered=4, is_called=True, last_bridge_role="originator")

    (found,) = told(tmp_path, document)

    assert (found["token"], found["representative_id"], found["talk_seconds"]) == (token(OTHER), "alice", 60)
    assert found["direction"] == "outbound"


@pytest.mark.parametrize("shown", ["anonymous", "Restricted", ""])
def test_a_withheld_caller_is_nobody_of_ours(tmp_path: Path, shown: str) -> None:
    flow = [step(shown, COMPANY, PHONE, 10, 90)]
    document = channel(A, "sofia/external/anonymous@192.0.2.1", flow, 90, answered=10)

    (found,) = told(tmp_path, document)

    assert (found["token"], found["direction"], found["representative_id"]) == (None, "inbound", "alice")


def test_a_browser_is_known_by_the_user_that_was_dialled(tmp_path: Path) -> None:
    browser = "sofia/internal/x7f3k2@df7jal23ls0d.invalid;transport=ws"
    caller = channel(A, TRUNK, [step(partner=browser, joined=10, left=90)], 90, answered=10, dialed_user="201")

    assert told(tmp_path, caller)[0]["representative_id"] == "alice"


def old(document: dict[str, Any], *, is_repeated: bool) -> bytes:
    """Return a document as versions before 2016 write it: each profile is a member `callflow` of its own."""
    flow = document.pop("callflow")
    if not is_repeated:
        return orjson.dumps(document | {"callflow": flow[-1]})
    parts = [b'"callflow":' + orjson.dumps(each) for each in flow]
    return orjson.dumps(document)[:-1] + b"," + b",".join(parts) + b"}"


def test_documents_of_old_versions_are_told_by_their_variables(tmp_path: Path) -> None:
    flow = [step(), step(partner=PHONE, joined=None, left=90)]
    told_by: dict[str, Any] = {"bridge_channel": PHONE, "bridge_uepoch": micros(10), "last_bridge_role": "originator"}
    path = tmp_path / "calls.cdr.json"
    path.write_bytes(
        old(channel(A, TRUNK, flow, 90, answered=10, **told_by), is_repeated=True)
        + b"\n"
        + old(called_channel(bridge_uepoch=micros(10)), is_repeated=False)
    )

    (found,) = parsing.interactions(batches(path), DIRECTORY)

    assert parsing.recognised(path) == "freeswitch_json"
    assert (found["token"], found["representative_id"], found["talk_seconds"]) == (token(CUSTOMER), "alice", 80)


def test_a_channel_whose_maker_only_the_call_flow_names_belongs_to_its_call(tmp_path: Path) -> None:
    (found,) = facts(tmp_path, called_channel(originating_leg_uuid="", originator=""))

    assert (found["session_id"], found["event_id"]) == (A, B)


def test_no_talk_goes_on_behind_the_end_of_its_channel(tmp_path: Path) -> None:
    (found,) = facts(tmp_path, channel(A, TRUNK, [step(partner=PHONE, joined=10, left=95)], 90, answered=10))

    assert (found["talk_seconds"], found["ended_at"]) == (80, datetime(2024, 3, 5, 9, 1, 30))


def test_the_channel_that_was_reached_does_not_tell_though_nothing_says_for_whom_it_was_made(tmp_path: Path) -> None:
    told_by = {"bridge_channel": TRUNK, "bridge_uepoch": micros(10), "last_bridge_role": "originatee"}
    reached = rung_channel(B, PHONE, None, hangup_cause="NORMAL_CLEARING", answer_uepoch=micros(10), **told_by)

    assert [row["attempt"] for row in facts(tmp_path, reached)] == ["no_human"]


def test_without_a_role_the_channel_that_was_made_for_another_does_not_tell(tmp_path: Path) -> None:
    told_by = {"bridge_channel": TRUNK, "bridge_uepoch": micros(10), "last_bridge_role": ""}
    called = called_channel(**told_by)
    called["callflow"] = {"caller_profile": {"caller_id_number": CUSTOMER}, "times": {}}

    assert [row["attempt"] for row in facts(tmp_path, called)] == ["no_human"]


def test_users_under_another_variable_are_mapped(tmp_path: Path) -> None:
    flow = [step("Maija", OTHER, f"sofia/gateway/operator/{OTHER}", 5, 65)]
    path = written(tmp_path, channel(A, "sofia/internal/maija@192.0.2.7", flow, 65, answered=5, my_agent="201"))

    assert [row["from_endpoint"] for row in rows(batches(path, {"user_name": "my_agent"}))] == ["201"]
    with pytest.raises(ConfigurationError, match="the mapping is for 'usr_name', which is no field"):
        batches(path, {"usr_name": "my_agent"})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"uuid": ""}, "uuid: missing"),
        ({"start_epoch": "0", "start_uepoch": "0"}, "start_epoch: missing; export the call when it has ended"),
        ({"end_epoch": "", "end_uepoch": ""}, "end_epoch: missing; export the call when it has ended"),
        ({"start_uepoch": "soon"}, "start_uepoch: expected the seconds since 1970"),
        ({"answer_uepoch": "9" * 40}, "answer_uepoch: expected the seconds since 1970"),
        ({"end_uepoch": micros(-30)}, "ended_at is before started_at"),
    ],
)
def test_a_document_that_cannot_be_used_is_a_dead_letter_without_its_parties(
    tmp_path: Path, change: dict[str, str], reason: str
) -> None:
    document = rung_channel(C, TRUNK)
    document["variables"] |= change

    read = batches(written(tmp_path, document, caller_channel()))

    (letter,) = letters(read)
    assert letter.reason.startswith(reason)
    assert (letter.position, letter.unit) == (1, "line")
    assert CUSTOMER[3:] not in letter.raw_text + letter.reason
    assert len(rows(read)) == 1


@pytest.mark.parametrize(
    ("members", "attempts"),
    [
        ({"variables": []}, []),
        ({"callflow": "none"}, ["no_human"]),
        ({"callflow": [3, {"caller_profile": [], "times": 7}]}, ["no_human"]),
        ({"callflow": [{"caller_profile": {"originatee": {"originatee_caller_profiles": ["x"]}}}]}, ["no_human"]),
    ],
)
def test_a_document_of_another_shape_does_no_harm(tmp_path: Path, members: dict[str, Any], attempts: list[str]) -> None:
    document = channel(A, TRUNK, [step(left=60)], 60, answered=2) | members

    read = batches(written(tmp_path, document))

    assert [row["attempt"] for row in rows(read)] == attempts
    assert [letter.reason[:10] for letter in letters(read)] == ([] if attempts else ["variables:"])


def test_documents_are_recognised_whole_and_cut(tmp_path: Path) -> None:
    path = written(tmp_path, caller_channel(), as_lines=False)
    whole = path.read_bytes()

    assert parsing.recognised(path) == "freeswitch_json"
    for start in (whole, whole[: len(whole) // 2]):
        claim = SOURCE.recognise(Sample(path, start))
        assert claim is not None
        assert claim.confidence >= 0.9
    for other in (b"", b"{}", b'{"core-uuid": 1}', b'[{"variables": {}}]', b"core-uuid,variables\n"):
        assert SOURCE.recognise(Sample(path, other)) is None


def test_what_stands_before_the_break_of_a_document_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path, caller_channel(), called_channel(), as_lines=False)
    path.write_bytes(path.read_bytes()[:-200])
    found: list[Batch] = []

    with pytest.raises(InvalidRecord, match="no valid JSON after record 1; export it again"):
        found.extend(SOURCE.read(path, parsing.context(path)))

    assert [row["event_id"] for row in rows(found)] == [A]


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_raise_nothing_but_invalid_record(tmp_path: Path, data: st.DataObject) -> None:
    documents = (caller_channel(), called_channel())
    whole = written(tmp_path, *documents, as_lines=data.draw(st.booleans())).read_bytes()
    path = tmp_path / "damaged.json"
    path.write_bytes(parsing.damaged(whole, data))

    parsing.assert_survives(SOURCE, path)
