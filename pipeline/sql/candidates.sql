-- Establishes which activity may be the trace of which interaction, in tiers 1 to 3, and how good the pair is.
-- Input: scope_interaction, scope_activity, exact_pair. Output: candidate. a_no and i_no number the rows of the scope;
-- activity_id and i_key (the id as a number) break ties; cost orders pairs by tier, channel fit and distance in time:
-- tier * 2^60 + fit * 2^58 + microseconds. A pair may stand twice; its smallest cost counts.
-- needs: scope_activity
CREATE OR REPLACE TEMP TABLE crowd AS
-- Customers with many of both are compared bit by bit (see crowd_pair), all others at once.
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
WHERE interactions.n * activities.n > 1000;

-- Of a customer with thousands of interactions in a window: in the long window only what the same representative (or
-- team) logged, day by day; in the short window what anybody logged, hour by hour.
-- needs: crowd
CREATE OR REPLACE TEMP TABLE crowd_pair AS
WITH longest AS (
    SELECT
        epoch_us(getvariable('same_representative_after'))
            + coalesce(max(epoch_us(ended_at) - epoch_us(started_at)), 0) AS reach
    FROM scope_interaction
),
crowd_interaction AS (
    SELECT i.*
    FROM (SELECT rowid AS i_no, *, unnest(customer_ids) AS customer_id FROM scope_interaction) AS i
    SEMI JOIN crowd ON crowd.customer_id = i.customer_id
),
crowd_activity AS (
    SELECT a.*
    FROM (SELECT rowid AS a_no, *, unnest(customer_ids) AS customer_id FROM scope_activity WHERE is_tied) AS a
    SEMI JOIN crowd ON crowd.customer_id = a.customer_id
),
owned_interaction AS (
    SELECT i_no, customer_id, epoch_us(started_at) // 86400000000 AS day,
        unnest(CASE WHEN len(participants) > 0 THEN participants ELSE ['team ' || team] END) AS owner
    FROM crowd_interaction
),
owned_activity AS (
    SELECT a_no, customer_id, owner, unnest(generate_series(
        (epoch_us(logged_from) - reach) // 86400000000,
        epoch_us(logged_to + getvariable('before')) // 86400000000)) AS day
    FROM (
        SELECT *, unnest(list_concat(representative_ids, list_transform(teams, lambda t: 'team ' || t))) AS owner
        FROM crowd_activity
    )
    CROSS JOIN longest
),
brief_interaction AS (
    SELECT i_no, customer_id, unnest(generate_series(
        epoch_us(started_at - getvariable('before')) // 3600000000,
        epoch_us(ended_at + getvariable('other_representative_after')) // 3600000000)) AS hour
    FROM crowd_interaction
),
brief_activity AS (
    SELECT a_no, customer_id, unnest(generate_series(
        epoch_us(logged_from) // 3600000000, epoch_us(logged_to) // 3600000000)) AS hour
    FROM crowd_activity
)
SELECT a_no, i_no
FROM owned_activity
JOIN owned_interaction USING (customer_id, owner, day)
UNION
SELECT a_no, i_no
FROM brief_activity
JOIN brief_interaction USING (customer_id, hour);

-- needs: scope_activity
CREATE OR REPLACE TEMP TABLE candidate AS
WITH of_customer AS (
    SELECT rowid AS i_no, unnest(customer_ids) AS customer_id FROM scope_interaction
),
on_customer AS (
    SELECT rowid AS a_no, unnest(customer_ids) AS customer_id
    FROM scope_activity
    WHERE is_tied
),
near AS (
    SELECT a.a_no, i.i_no
    FROM on_customer AS a
    JOIN of_customer AS i USING (customer_id)
    ANTI JOIN crowd USING (customer_id)
    UNION ALL
    SELECT a_no, i_no FROM crowd_pair
),
met AS (
    SELECT
        near.a_no, near.i_no, a.activity_id, i.interaction_id, a.kind = i.channel AS is_same_channel,
        a.logged_from, a.logged_to, i.started_at, i.ended_at,
        list_has_any(a.representative_ids, i.participants)
            OR (len(i.participants) = 0 AND i.team IS NOT NULL AND list_contains(a.teams, i.team)) AS is_owned
    FROM near
    JOIN scope_activity AS a ON a.rowid = near.a_no
    JOIN scope_interaction AS i ON i.rowid = near.i_no
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
