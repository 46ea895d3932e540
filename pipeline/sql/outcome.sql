-- Establishes what became of each interaction and of each activity.
-- Input: scope_interaction, scope_activity, assigned (tier, a_no, i_no), candidate, activity (untied tickets).
-- Output: judged_interaction, judged_activity. Keys: i_no, a_no.
-- needs: has_ticket
CREATE OR REPLACE TEMP TABLE silo AS
WITH ticket AS (
    SELECT activity_id, logged_from, logged_to, tokens FROM activity
    WHERE NOT is_tied AND activity_id NOT IN (SELECT activity_id FROM scope_activity)
        AND activity_id NOT IN (SELECT activity_id FROM changed_activity)
    UNION ALL
    SELECT activity_id, logged_from, logged_to, tokens FROM scope_activity WHERE NOT is_tied
),
untraced AS (
    SELECT i_no, token, evidence_id, started_at, ended_at
    FROM scope_interaction
    ANTI JOIN assigned USING (i_no)
),
evidence AS (
    SELECT i.i_no, t.activity_id, t.logged_from, t.logged_to, i.ended_at
    FROM (SELECT *, unnest(tokens) AS held_token FROM ticket) AS t
    JOIN untraced AS i ON i.token = t.held_token
    WHERE t.logged_to >= i.started_at - getvariable('before')
        AND t.logged_from <= i.ended_at + getvariable('same_representative_after')
    UNION ALL
    SELECT i.i_no, t.activity_id, t.logged_from, t.logged_to, i.ended_at
    FROM exact_pair
    JOIN ticket AS t USING (activity_id)
    JOIN untraced AS i USING (evidence_id)
)
SELECT
    i_no,
    arg_min(activity_id, {
        'distance': greatest(
            epoch_us(logged_from) - epoch_us(ended_at), epoch_us(ended_at) - epoch_us(logged_to), 0),
        'id': activity_id
    }) AS ticket_id
FROM evidence
GROUP BY i_no;

-- needs: scope_interaction
CREATE OR REPLACE TEMP TABLE judged_interaction AS
WITH ended AS (
    SELECT
        i.i_no, i.interaction_id, i.token, i.customer_ids,
        ['exact', 'same_representative', 'other_representative', 'inferred'][assigned.tier] AS tier,
        a.activity_id, silo.ticket_id,
        (epoch_us(a.logged_from) - epoch_us(i.ended_at)) / 1e6 AS trace_delay_seconds,
        i.ended_at + getvariable('window_after') AS window_ends_at
    FROM scope_interaction AS i
    LEFT JOIN assigned ON assigned.i_no = i.i_no
    LEFT JOIN scope_activity AS a ON a.a_no = assigned.a_no
    LEFT JOIN silo ON silo.i_no = i.i_no
),
decided AS (
    SELECT
        *,
        CASE
            WHEN activity_id IS NOT NULL THEN 'traced'
            WHEN ticket_id IS NOT NULL THEN 'siloed'
            WHEN coalesce(window_ends_at <= getvariable('complete_through'), false) THEN 'bypassed'
            ELSE 'pending'
        END AS outcome
    FROM ended
)
SELECT
    i_no, interaction_id, outcome,
    CASE WHEN outcome <> 'bypassed' THEN NULL
        WHEN token IS NULL THEN 'withheld'
        WHEN len(customer_ids) = 0 THEN 'unknown_customer'
        ELSE 'not_logged' END AS reason,
    tier, activity_id, ticket_id, trace_delay_seconds, window_ends_at
FROM decided;

-- needs: draft_activity
CREATE OR REPLACE TEMP TABLE judged_activity AS
WITH explained AS (
    -- The interaction that an activity was logged for: its trace, or the best pair that another record won.
    SELECT a_no, tier, i_no, true AS is_trace FROM assigned
    UNION ALL
    SELECT
        a_no, min(cost) >> 60 AS tier, arg_min(i_no, (cost::HUGEINT << 64) + i_key::HUGEINT), false
    FROM candidate
    ANTI JOIN assigned USING (a_no)
    GROUP BY a_no
    HAVING min(cost) >> 60 < 4
)
SELECT
    a.a_no, a.activity_id,
    coalesce(explained.tier < 4, false) AS has_pair,
    CASE
        WHEN NOT a.is_tied THEN 'siloed'
        WHEN explained.a_no IS NULL THEN 'unexplained'
        WHEN explained.is_trace THEN 'trace'
        ELSE 'redundant'
    END AS status,
    ['exact', 'same_representative', 'other_representative', 'inferred'][explained.tier] AS tier,
    i.interaction_id
FROM scope_activity AS a
LEFT JOIN explained ON explained.a_no = a.a_no
LEFT JOIN scope_interaction AS i ON i.i_no = explained.i_no;
