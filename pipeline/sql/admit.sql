-- Establishes which observations are new, and which keys stand for one conversation.
-- Input: incoming_observation. Output: fresh_edge, fresh_copy (key raw_id).
-- needs: incoming_other_keys
CREATE OR REPLACE TEMP TABLE fresh_edge AS
WITH edge AS (
    SELECT DISTINCT key AS key_a, unnest(other_keys) AS key_b
    FROM incoming_observation
    WHERE len(other_keys) > 0
)
SELECT
    coalesce(a.conversation_id, key_a) AS a,
    coalesce(b.conversation_id, key_b) AS b,
    key_a, key_b
FROM edge
LEFT JOIN key_component AS a ON a.key = key_a
LEFT JOIN key_component AS b ON b.key = key_b
WHERE key_a <> key_b AND (a.conversation_id IS NULL OR b.conversation_id IS NULL OR a.conversation_id <> b.conversation_id);

-- needs: incoming_mail
CREATE OR REPLACE TEMP TABLE fresh_copy AS
SELECT DISTINCT ON (raw_id)
    raw_id, source, record_digest, started_at, coalesce(key, raw_id) AS key, event_id, session_id,
    from_token, from_domain, coalesce(parties, []) AS parties, automated, bulk
FROM incoming_observation AS incoming
ANTI JOIN mail_copy USING (raw_id)
ANTI JOIN late_fact USING (raw_id)
WHERE channel = 'email';
