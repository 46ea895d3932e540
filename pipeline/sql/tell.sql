-- Establishes what is said anew: the difference to what was said before.
-- Input: judged_interaction, judged_activity, draft_interaction, old_interaction, old_activity, scope_leg, scope_copy.
-- Output: said_interaction (what is new or other than before, with its row in the state), told_*.
-- needs: judged_interaction
CREATE OR REPLACE TEMP TABLE said_interaction AS
SELECT i_no, NULL::BIGINT AS said_row FROM judged_interaction ANTI JOIN old_interaction USING (interaction_id);

-- needs: touched_evidence, stale_interaction
INSERT INTO said_interaction
SELECT judged.i_no, before.said_row
FROM (SELECT * FROM old_interaction WHERE is_changed) AS before
JOIN draft_interaction AS i ON i.interaction_id = before.interaction_id
JOIN judged_interaction AS judged ON judged.i_no = i.rowid
WHERE (
    i.evidence_id, i.channel, i.line, i.direction, i.started_at, i.ended_at, i.talk_seconds, i.representative_id,
    i.participants, i.team, i.function, i.sources, i.token, i.domain, i.customer_ids, i.contact_id, i.segment,
    judged.outcome, judged.reason, judged.tier, judged.activity_id, judged.ticket_id, judged.trace_delay_seconds,
    judged.window_ends_at, i.party_count, i.node
) IS DISTINCT FROM (
    before.evidence_id, before.channel, before.line, before.direction, before.started_at, before.ended_at,
    before.talk_seconds, before.representative_id, before.participants, before.team, before.function, before.sources,
    before.token, before.domain, before.customer_ids, before.contact_id, before.segment,
    before.outcome, before.reason, before.tier, before.activity_id, before.ticket_id, before.trace_delay_seconds,
    before.window_ends_at, before.party_count, before.node
);

-- needs: old_interaction
INSERT INTO said_interaction
SELECT judged.i_no, before.said_row
FROM old_interaction AS before
JOIN judged_interaction AS judged ON judged.i_no = getvariable('draft_count') + before.rowid
WHERE NOT before.is_changed
    AND (judged.outcome, judged.reason, judged.tier, judged.activity_id, judged.ticket_id, judged.trace_delay_seconds)
        IS DISTINCT FROM
        (before.outcome, before.reason, before.tier, before.activity_id, before.ticket_id, before.trace_delay_seconds);

-- needs: said_interaction
CREATE OR REPLACE TEMP VIEW told_interaction AS
SELECT
    i.interaction_id, evidence_id, getvariable('company_id') AS company_id, channel, line, direction, started_at,
    ended_at, talk_seconds, representative_id, participants, team, function, sources, token, customer_ids, contact_id,
    segment, outcome, reason, judged.tier, activity_id, ticket_id, trace_delay_seconds, window_ends_at,
    said_row IS NOT NULL AS said_before, domain, party_count, node
FROM scope_interaction AS i
JOIN judged_interaction AS judged ON judged.i_no = i.i_no
JOIN said_interaction AS said ON said.i_no = i.i_no;

-- needs: gone_interaction
CREATE OR REPLACE TEMP TABLE told_retracted AS
SELECT interaction_id FROM gone_interaction;

-- needs: judged_activity, known_activity
CREATE OR REPLACE TEMP TABLE told_activity_outcome AS
SELECT judged.activity_id, judged.status, judged.tier, judged.interaction_id, a.customer_ids, a.representative_ids,
    before.activity_id IS NOT NULL AS said_before
FROM judged_activity AS judged
JOIN scope_activity AS a ON a.a_no = judged.a_no
LEFT JOIN old_activity AS before ON before.activity_id = judged.activity_id
WHERE before.activity_id IS NULL
    OR (judged.status, judged.tier, judged.interaction_id, a.customer_ids, a.representative_ids)
        IS DISTINCT FROM
        (before.status, before.tier, before.interaction_id, before.customer_ids, before.representative_ids);

-- needs: known_activity
INSERT INTO told_activity_outcome
SELECT activity_id, 'deleted', NULL, NULL, NULL, NULL, true
FROM known_activity
ANTI JOIN draft_activity USING (activity_id);

-- needs: scope_conversation_row
CREATE OR REPLACE TEMP TABLE standing AS
WITH now AS (
    SELECT conversation_id, exclusion AS reason, evidence_id FROM scope_conversation_row WHERE channel <> 'email'
    UNION ALL
    SELECT conversation_id, any_value(exclusion), any_value(evidence_id)
    FROM scope_conversation_row
    WHERE channel = 'email'
    GROUP BY conversation_id
),
before AS (
    SELECT conversation_id, any_value(exclusion) AS reason, any_value(evidence_id) AS evidence_id
    FROM previous_conversation
    GROUP BY conversation_id
)
SELECT
    now.conversation_id, now.reason,
    CASE WHEN now.reason IS NULL THEN now.evidence_id END AS evidence_id,
    now.reason IS DISTINCT FROM before.reason OR now.evidence_id IS DISTINCT FROM before.evidence_id
        OR now.conversation_id IN (SELECT new FROM relabelled) AS is_changed
FROM now
LEFT JOIN before ON before.conversation_id = now.conversation_id;

-- needs: standing
CREATE OR REPLACE TEMP VIEW told_disposition AS
SELECT
    raw_id,
    CASE WHEN is_repeat THEN 'duplicate' WHEN standing.reason IS NULL THEN 'interaction' ELSE 'excluded' END
        AS disposition,
    CASE WHEN NOT is_repeat THEN standing.reason END AS reason,
    CASE WHEN NOT is_repeat THEN standing.evidence_id END AS evidence_id,
    NOT is_new AS said_before
FROM (
    SELECT raw_id, conversation_id, is_repeat, is_new, is_new OR is_repeat <> was_repeat AS is_changed FROM scope_leg
    UNION ALL
    SELECT raw_id, conversation_id, is_repeat, is_new, is_new OR is_repeat <> was_repeat FROM scope_copy
) AS member
JOIN standing ON standing.conversation_id = member.conversation_id
WHERE member.is_changed OR (standing.is_changed AND NOT is_repeat);
