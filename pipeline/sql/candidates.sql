-- Establishes which activity may be the trace of which interaction, in tiers 1 to 3, and how good the pair is.
-- Input: scope_interaction, scope_activity, exact_pair. Output: candidate; crowd_interaction and crowd_activity, whose
-- pairs are worked out one after the other (see pipeline.crowds). a_no and i_no number the rows of the scope;
-- activity_id and i_key (the id as a number) break ties; cost orders pairs by tier, channel fit and distance in time:
-- tier * 2^60 + fit * 2^58 + microseconds. A pair may stand twice; its smallest cost counts.
-- needs: many_pairs
CREATE OR REPLACE TEMP TABLE crowd AS
WITH interactions AS (
    SELECT customer_id, count(*) AS n
    FROM (SELECT unnest(customer_ids) AS customer_id FROM scope_interaction)
    GROUP BY customer_id
),
activities AS (
    SELECT customer_id, count(*) AS n
    FROM (SELECT unnest(customer_ids) AS customer_id FROM scope_activity WHERE is_tied)
    GROUP BY customer_id
)
SELECT customer_id
FROM interactions
JOIN activities USING (customer_id)
WHERE interactions.n * activities.n > getvariable('crowd_pairs');

-- needs: crowd
CREATE OR REPLACE TEMP TABLE crowd_interaction AS
SELECT
    i_no, ('0x' || interaction_id)::UBIGINT AS i_key, customer_id, channel,
    epoch_us(started_at) AS started, epoch_us(ended_at) AS ended, participants, team
FROM (SELECT *, unnest(customer_ids) AS customer_id FROM scope_interaction)
SEMI JOIN crowd USING (customer_id);

-- needs: crowd
CREATE OR REPLACE TEMP TABLE crowd_activity AS
SELECT
    a_no, activity_id, customer_id,
    CASE WHEN kind NOT IN ('meeting', 'note', 'task', 'other', 'ticket') THEN kind END AS channel,
    epoch_us(logged_from) AS logged_from, epoch_us(logged_to) AS logged_to, representative_ids, teams
FROM (SELECT *, unnest(customer_ids) AS customer_id FROM scope_activity WHERE is_tied)
SEMI JOIN crowd USING (customer_id);

-- needs: scope_activity
CREATE OR REPLACE TEMP TABLE candidate AS
WITH met AS (
    SELECT
        a_no, i_no, activity_id, interaction_id, kind = channel AS is_same_channel, logged_from, logged_to, ended_at,
        list_has_any(representative_ids, participants)
            OR (len(participants) = 0 AND team IS NOT NULL AND list_contains(teams, team)) AS is_owned
    FROM (
        SELECT *
        FROM (
            SELECT
                a_no, activity_id, kind, logged_from, logged_to, representative_ids, teams,
                unnest(customer_ids) AS customer_id
            FROM scope_activity
            WHERE is_tied
        )
        ANTI JOIN crowd USING (customer_id)
    )
    JOIN (
        SELECT
            i_no, interaction_id, channel, started_at, ended_at, participants, team,
            unnest(customer_ids) AS customer_id
        FROM scope_interaction
    ) USING (customer_id)
    WHERE logged_to >= started_at - getvariable('before')
        AND logged_from <= ended_at + getvariable('window_after')
        AND (kind = channel OR kind IN ('meeting', 'note', 'task', 'other', 'ticket'))
)
SELECT
    a_no, i_no, activity_id, ('0x' || interaction_id)::UBIGINT AS i_key,
    ((CASE WHEN is_owned THEN 2 ELSE 3 END)::BIGINT << 60) + ((NOT is_same_channel)::BIGINT << 58)
        + greatest(epoch_us(logged_from) - epoch_us(ended_at), epoch_us(ended_at) - epoch_us(logged_to), 0) AS cost
FROM met
WHERE CASE WHEN is_owned
    THEN getvariable('has_same_representative')
        AND logged_from <= ended_at + getvariable('same_representative_after')
    ELSE getvariable('has_other_representative')
        AND logged_from <= ended_at + getvariable('other_representative_after') END;

-- needs: exact_pair
INSERT INTO candidate
SELECT
    a_no, i_no, a.activity_id, ('0x' || i.interaction_id)::UBIGINT AS i_key,
    (1::BIGINT << 60) + ((a.kind <> i.channel)::BIGINT << 58)
        + greatest(epoch_us(logged_from) - epoch_us(ended_at), epoch_us(ended_at) - epoch_us(logged_to), 0) AS cost
FROM exact_pair
JOIN scope_interaction AS i ON i.evidence_id = exact_pair.evidence_id
JOIN scope_activity AS a ON a.activity_id = exact_pair.activity_id
WHERE getvariable('has_exact') AND a.is_tied
    -- A message to several is one interaction each: a record on one of them explains that one.
    AND (i.party_count = 1 OR len(a.customer_ids) = 0 OR list_has_any(a.customer_ids, i.customer_ids));
