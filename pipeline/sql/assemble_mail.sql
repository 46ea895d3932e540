-- Establishes the conversations of email: copies of one message, and its external parties.
-- Input: scope_copy (all copies of the conversations in question, repeats marked), token_row, group_row.
-- Output: gathered_mail, one row per external party (one without token where there is none).
-- needs: scope_copy
CREATE OR REPLACE TEMP TABLE address AS
WITH listed AS (
    SELECT conversation_id, raw_id, started_at, 'from' AS role, -1 AS role_order, 0 AS position,
        from_token AS token, from_domain AS domain
    FROM scope_copy
    WHERE NOT is_repeat
    UNION ALL
    SELECT
        conversation_id, raw_id, started_at, party.role,
        CASE party.role WHEN 'to' THEN 0 WHEN 'cc' THEN 1 WHEN 'bcc' THEN 2 ELSE 3 END,
        position, party.token, party.domain
    FROM (
        SELECT conversation_id, raw_id, started_at, unnest(parties) AS party,
            generate_subscripts(parties, 1) AS position
        FROM scope_copy
        WHERE NOT is_repeat
    )
)
SELECT
    listed.*,
    row.token IS NOT NULL OR coalesce(list_contains(getvariable('own_domains'), listed.domain), false) AS is_own,
    row.representative_id, row.group_no
FROM listed
LEFT JOIN token_row AS row
    ON row.token = listed.token AND listed.started_at >= row.valid_from AND listed.started_at < row.valid_to;

-- needs: scope_copy
CREATE OR REPLACE TEMP TABLE mail_direction AS
SELECT conversation_id, CASE WHEN bool_or(is_own) THEN 'outbound' ELSE 'inbound' END AS direction
FROM address
WHERE role = 'from'
GROUP BY conversation_id;

-- The copies that speak for the conversation: those of its direction.
-- needs: scope_copy
CREATE OR REPLACE TEMP TABLE speaking_address AS
SELECT address.*, mail_direction.direction
FROM address
JOIN mail_direction USING (conversation_id)
JOIN (SELECT raw_id, is_own AS sender_is_own FROM address WHERE role = 'from') AS sender USING (raw_id)
WHERE sender_is_own = (mail_direction.direction = 'outbound');

-- needs: scope_copy
CREATE OR REPLACE TEMP TABLE mail_party AS
SELECT DISTINCT conversation_id, token, domain
FROM speaking_address
WHERE (direction = 'inbound' AND role = 'from')
    OR (direction = 'outbound' AND role IN ('to', 'cc', 'bcc') AND NOT is_own AND token IS NOT NULL);

-- Ours: the sender of an outbound message, the own recipients of an inbound one, in header order.
-- needs: scope_copy
CREATE OR REPLACE TEMP TABLE mail_representative AS
WITH ours AS (
    SELECT
        *,
        role_order * 4294967296 + position AS place,
        row_number() OVER (ORDER BY role_order, position, started_at, raw_id) AS time_order
    FROM speaking_address
    WHERE is_own AND ((direction = 'outbound' AND role = 'from') OR (direction = 'inbound' AND role <> 'from'))
),
participant AS (
    SELECT conversation_id, representative_id, min(place) AS place, arg_min(group_no, time_order) AS group_no
    FROM ours
    WHERE representative_id IS NOT NULL
    GROUP BY conversation_id, representative_id
),
shared AS (
    SELECT conversation_id, arg_min(group_no, time_order) AS group_no FROM ours GROUP BY conversation_id
),
ranked AS (
    SELECT
        conversation_id,
        list(representative_id ORDER BY place, representative_id) AS participants,
        first(group_no ORDER BY place, representative_id) AS group_no
    FROM participant
    GROUP BY conversation_id
)
SELECT
    mail_direction.conversation_id,
    participants[1] AS representative_id,
    coalesce(participants, []) AS participants,
    group_row.team,
    group_row.function
FROM mail_direction
LEFT JOIN ranked ON ranked.conversation_id = mail_direction.conversation_id
LEFT JOIN shared ON shared.conversation_id = mail_direction.conversation_id
LEFT JOIN group_row ON group_row.group_no = coalesce(ranked.group_no, shared.group_no);

-- needs: scope_copy
CREATE OR REPLACE TEMP TABLE gathered_mail AS
WITH copies AS (
    SELECT
        conversation_id,
        arg_min(source, raw_id) AS source,
        list_sort(list_distinct(list(source))) AS sources,
        min(started_at) AS started_at,
        bool_or(coalesce(automated, false)) AS automated,
        bool_or(coalesce(bulk, false)) AS bulk
    FROM scope_copy
    WHERE NOT is_repeat
    GROUP BY conversation_id
),
recipients AS (
    SELECT conversation_id, count(DISTINCT token) AS recipient_count
    FROM address
    WHERE role IN ('to', 'cc', 'bcc') AND NOT is_own
    GROUP BY conversation_id
),
party AS (
    SELECT conversation_id, token, max(domain) AS domain FROM mail_party GROUP BY conversation_id, token
)
SELECT
    copies.conversation_id,
    party.token,
    party.domain,
    'email' AS channel,
    copies.source, copies.sources,
    mail_direction.direction,
    copies.started_at,
    copies.started_at AS ended_at,
    0 AS talk_seconds,
    ours.representative_id, ours.participants, ours.team, ours.function,
    party.conversation_id IS NULL AS is_internal,
    copies.automated,
    copies.bulk OR coalesce(recipient_count, 0) > getvariable('bulk_recipients') AS bulk
FROM copies
JOIN mail_direction ON mail_direction.conversation_id = copies.conversation_id
LEFT JOIN party ON party.conversation_id = copies.conversation_id
LEFT JOIN mail_representative AS ours ON ours.conversation_id = copies.conversation_id
LEFT JOIN recipients ON recipients.conversation_id = copies.conversation_id;
