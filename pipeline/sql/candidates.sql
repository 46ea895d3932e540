-- Establishes which activity may be the trace of which interaction, in tiers 1 to 3, and how good the pair is.
-- Input: scope_interaction, scope_activity, exact_pair. Output: candidate. a_no and i_no number the rows of the scope;
-- activity_id and i_key (the id as a number) break ties; cost orders pairs by tier, channel fit and distance in time:
-- tier * 2^60 + fit * 2^58 + microseconds. A pair may stand twice; its smallest cost counts.
-- needs: scope_activity
CREATE OR REPLACE TEMP TABLE crowd AS
-- Customers with many of both are compared day by day, all others at once.
WITH interactions AS (
    SELECT unnest(customer_ids) AS customer_id, count(*) AS n FROM scope_interaction GROUP BY 1
),
activities AS (
    SELECT unnest(customer_ids) AS customer_id, count(*) AS n FROM scope_activity WHERE is_tied GROUP BY 1
)
SELECT customer_id
FROM interactions
JOIN activities USING (customer_id)
WHERE interactions.n * activities.n > 1000;

-- needs: scope_activity
CREATE OR REPLACE TEMP TABLE candidate AS
WITH longest AS (
    SELECT
        epoch_us(getvariable('window_after')) + coalesce(max(epoch_us(ended_at) - epoch_us(started_at)), 0) AS reach
    FROM scope_interaction
),
of_customer AS (
    SELECT rowid AS i_no, interaction_id, channel, started_at, ended_at, participants, team,
        unnest(customer_ids) AS customer_id
    FROM scope_interaction
),
placed_interaction AS (
    SELECT of_customer.*,
        CASE WHEN crowd.customer_id IS NULL THEN 0 ELSE epoch_us(started_at) // 86400000000 END AS day
    FROM of_customer
    LEFT JOIN crowd ON crowd.customer_id = of_customer.customer_id
),
on_customer AS (
    SELECT rowid AS a_no, activity_id, kind, logged_from, logged_to, representative_ids, teams,
        unnest(customer_ids) AS customer_id
    FROM scope_activity
    WHERE is_tied AND kind IN ('call', 'email', 'sms', 'chat', 'social', 'fax', 'meeting', 'note', 'task', 'other', 'ticket')
),
placed_activity AS (
    SELECT on_customer.*, 0::BIGINT AS day
    FROM on_customer
    ANTI JOIN crowd ON crowd.customer_id = on_customer.customer_id
    UNION ALL
    SELECT on_customer.*, unnest(generate_series(
        (epoch_us(logged_from) - reach) // 86400000000,
        epoch_us(logged_to + getvariable('before')) // 86400000000)) AS day
    FROM on_customer
    JOIN crowd ON crowd.customer_id = on_customer.customer_id
    CROSS JOIN longest
),
met AS (
    SELECT
        a.a_no, i.i_no, a.activity_id, i.interaction_id, a.kind = i.channel AS is_same_channel,
        a.logged_from, a.logged_to, i.started_at, i.ended_at,
        list_has_any(a.representative_ids, i.participants)
            OR (len(i.participants) = 0 AND i.team IS NOT NULL AND list_contains(a.teams, i.team)) AS is_owned
    FROM placed_activity AS a
    JOIN placed_interaction AS i ON i.customer_id = a.customer_id AND i.day = a.day
    WHERE a.logged_to >= i.started_at - getvariable('before')
        AND a.logged_from <= i.ended_at + getvariable('window_after')
        AND (a.kind = i.channel OR a.kind IN ('meeting', 'note', 'task', 'other', 'ticket'))
),
by_customer AS (
    SELECT *, CASE WHEN is_owned THEN 2 ELSE 3 END AS tier
    FROM met
    WHERE CASE WHEN is_owned
        THEN getvariable('has_same_representative')
            AND logged_from <= ended_at + getvariable('same_representative_after')
        ELSE getvariable('has_other_representative')
            AND logged_from <= ended_at + getvariable('other_representative_after') END
),
by_key AS (
    SELECT
        a.rowid AS a_no, i.rowid AS i_no, a.activity_id, i.interaction_id, a.kind = i.channel AS is_same_channel,
        a.logged_from, a.logged_to, i.ended_at
    FROM exact_pair
    JOIN scope_interaction AS i ON i.evidence_id = exact_pair.evidence_id
    JOIN scope_activity AS a ON a.activity_id = exact_pair.activity_id
    WHERE getvariable('has_exact') AND a.is_tied
        -- A message to several is one interaction each: a record on one of them explains that one.
        AND (i.party_count = 1 OR len(a.customer_ids) = 0 OR list_has_any(a.customer_ids, i.customer_ids))
),
pair AS (
    SELECT a_no, i_no, activity_id, interaction_id, is_same_channel, logged_from, logged_to, ended_at, tier
    FROM by_customer
    UNION ALL
    SELECT a_no, i_no, activity_id, interaction_id, is_same_channel, logged_from, logged_to, ended_at, 1 FROM by_key
)
SELECT
    a_no, i_no, activity_id, ('0x' || interaction_id)::UBIGINT AS i_key,
    (tier::BIGINT << 60) + ((NOT is_same_channel)::BIGINT << 58)
        + greatest(epoch_us(logged_from) - epoch_us(ended_at), epoch_us(ended_at) - epoch_us(logged_to), 0) AS cost
FROM pair;
