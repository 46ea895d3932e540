-- Establishes which calls of two sources may be one call: the same identifier, talk that overlaps within the
-- tolerance, and no two different representatives. Input: conversation, scope_conversation_row, scope_token.
-- Output: merge_member (every call of the tokens in question), merge_pair. Key: (a, b), a < b.
CREATE OR REPLACE TEMP TABLE merge_member AS
SELECT
    conversation_id, token, source, participants, talk_started_at, ended_at, evidence_id,
    CASE line WHEN 'contact_center' THEN 0 WHEN 'pbx' THEN 1 WHEN 'mobile' THEN 2 ELSE 3 END AS line_order
FROM (
    SELECT * FROM scope_conversation_row
    UNION ALL BY NAME
    SELECT * FROM conversation ANTI JOIN scope_conversation USING (conversation_id)
)
SEMI JOIN scope_token USING (token)
WHERE channel = 'call' AND exclusion IS NULL;

CREATE OR REPLACE TEMP TABLE merge_pair AS
WITH hourly AS (
    SELECT *, unnest(generate_series(
        epoch_us(talk_started_at - getvariable('merge_tolerance')) // 3600000000,
        epoch_us(ended_at + getvariable('merge_tolerance')) // 3600000000)) AS hour
    FROM merge_member
)
SELECT DISTINCT
    a.conversation_id AS a,
    b.conversation_id AS b,
    abs(epoch_us(a.talk_started_at) - epoch_us(b.talk_started_at)) AS distance
FROM hourly AS a
JOIN hourly AS b
    ON a.token = b.token AND a.hour = b.hour AND a.source <> b.source AND a.conversation_id < b.conversation_id
WHERE a.talk_started_at <= b.ended_at + getvariable('merge_tolerance')
    AND b.talk_started_at <= a.ended_at + getvariable('merge_tolerance');
