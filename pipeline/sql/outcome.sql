-- Establishes what became of each interaction and of each activity.
-- Input: scope_interaction, scope_activity, assigned (tier, a_no, i_no), candidate, activity (untied tickets).
-- Output: judged_interaction, judged_activity. Keys: interaction_id, activity_id.
-- needs: scope_interaction
CREATE OR REPLACE TEMP TABLE silo AS
WITH ticket AS (
    SELECT activity_id, logged_from, logged_to, tokens FROM activity
    WHERE NOT is_tied AND activity_id NOT IN (SELECT activity_id FROM scope_activity)
        AND activity_id NOT IN (SELECT activity_id FROM changed_activity)
    UNION ALL
    SELECT activity_id, logged_from, logged_to, tokens FROM scope_activity WHERE NOT is_tied
),
untraced AS (
    SELECT rowid AS i_no, token, evidence_id, started_at, ended_at FROM scope_interaction
    WHERE rowid NOT IN (SELECT i_no FROM assigned)
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
WITH found AS (
    SELECT
        assigned.i_no, ['exact', 'same_representative', 'other_representative', 'inferred'][assigned.tier] AS tier,
        scope_activity.activity_id, scope_activity.logged_from
    FROM assigned
    JOIN scope_activity ON scope_activity.rowid = assigned.a_no
),
ended AS (
    SELECT
        i.* EXCLUDE (tier),
        found.tier, found.activity_id, silo.ticket_id,
        (epoch_us(found.logged_from) - epoch_us(i.ended_at)) / 1e6 AS trace_delay_seconds,
        i.ended_at + getvariable('window_after') AS window_ends_at
    FROM scope_interaction AS i
    LEFT JOIN found ON found.i_no = i.rowid
    LEFT JOIN silo ON silo.i_no = i.rowid
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
    interaction_id, evidence_id, getvariable('company_id') AS company_id, channel, line, direction,
    started_at, ended_at, talk_seconds, representative_id, participants, team, function, sources,
    token, domain, customer_ids, contact_id, segment, outcome,
    CASE WHEN outcome <> 'bypassed' THEN NULL
        WHEN token IS NULL THEN 'withheld'
        WHEN len(customer_ids) = 0 THEN 'unknown_customer'
        ELSE 'not_logged' END AS reason,
    tier, activity_id, ticket_id, trace_delay_seconds, window_ends_at, party_count, node
FROM decided;

-- needs: scope_activity
CREATE OR REPLACE TEMP TABLE judged_activity AS
WITH explained AS (
    -- The interaction that an activity was logged for: its trace, or the best pair that another record won.
    SELECT a_no, arg_min(i_no, (cost::HUGEINT << 64) + i_key::HUGEINT) AS i_no,
        min(cost) >> 60 AS tier_order
    FROM candidate
    GROUP BY a_no
),
standing AS (
    SELECT
        a.* EXCLUDE (has_pair, status, tier, interaction_id),
        coalesce(explained.tier_order < 4, false) AS has_pair,
        CASE
            WHEN NOT a.is_tied THEN 'siloed'
            WHEN assigned.i_no IS NOT NULL THEN 'trace'
            WHEN coalesce(explained.tier_order < 4, false) THEN 'redundant'
            ELSE 'unexplained'
        END AS status,
        ['exact', 'same_representative', 'other_representative', 'inferred'][
            CASE WHEN assigned.i_no IS NOT NULL THEN assigned.tier
                WHEN explained.tier_order < 4 THEN explained.tier_order END
        ] AS tier,
        CASE WHEN assigned.i_no IS NOT NULL THEN assigned.i_no
            WHEN explained.tier_order < 4 THEN explained.i_no END AS i_no
    FROM scope_activity AS a
    LEFT JOIN assigned ON assigned.a_no = a.rowid
    LEFT JOIN explained ON explained.a_no = a.rowid
)
SELECT
    standing.activity_id, kind, logged_from, logged_to, standing.keys, tokens, is_tied,
    standing.customer_ids, representative_ids, teams, standing.node, has_pair, status, standing.tier,
    i.interaction_id
FROM standing
LEFT JOIN scope_interaction AS i ON i.rowid = standing.i_no;
