-- Establishes tier 4: an interaction whose identifier the CRM does not know, and an activity of the same
-- representative and channel that no customer's interaction stands behind.
-- Input: scope_interaction, scope_activity, candidate. Output: more rows in candidate.
-- needs: scope_activity
INSERT INTO candidate (a_no, i_no, activity_id, i_key, cost)
WITH stranger AS (
    SELECT i_no, interaction_id, channel, started_at, ended_at, unnest(participants) AS representative_id
    FROM scope_interaction
    WHERE len(customer_ids) = 0
),
unexplained AS (
    SELECT a_no, activity_id, kind, logged_from, logged_to, unnest(representative_ids) AS representative_id
    FROM scope_activity
    ANTI JOIN candidate USING (a_no)
    WHERE is_tied
),
longest AS (
    SELECT
        epoch_us(getvariable('inferred_after')) + coalesce(max(epoch_us(ended_at) - epoch_us(started_at)), 0) AS reach
    FROM stranger
),
hourly AS (
    SELECT unexplained.*, unnest(generate_series(
        (epoch_us(logged_from) - reach) // 3600000000,
        epoch_us(logged_to + getvariable('before')) // 3600000000)) AS hour
    FROM unexplained
    CROSS JOIN longest
)
SELECT DISTINCT
    a.a_no, i.i_no, a.activity_id, ('0x' || i.interaction_id)::UBIGINT,
    (4::BIGINT << 60)
        + greatest(epoch_us(a.logged_from) - epoch_us(i.ended_at), epoch_us(i.ended_at) - epoch_us(a.logged_to), 0)
FROM hourly AS a
JOIN stranger AS i
    ON i.representative_id = a.representative_id AND a.kind = i.channel
    AND epoch_us(i.started_at) // 3600000000 = a.hour
WHERE a.logged_to >= i.started_at - getvariable('before')
    AND a.logged_from <= i.ended_at + getvariable('inferred_after');
