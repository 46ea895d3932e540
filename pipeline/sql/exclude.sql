-- Establishes which conversations are no interaction, each with the first reason that applies.
-- Input: drafted_conversation, never_log. Output: scope_conversation_row. Key: (conversation_id, token).
-- needs: drafted_conversation
CREATE OR REPLACE TEMP TABLE scope_conversation_row AS
WITH judged AS (
    SELECT
        draft.*,
        (draft.token IN (SELECT token FROM never_log) OR draft.domain IN (SELECT token FROM never_log))
            IS TRUE AS is_never_log
    FROM drafted_conversation AS draft
),
reasoned AS (
    SELECT
        *,
        CASE
            WHEN is_internal THEN 'internal'
            WHEN automated THEN 'automated'
            WHEN bulk THEN 'bulk'
            WHEN emergency THEN 'emergency'
            WHEN is_never_log THEN 'never_log'
            WHEN channel IN ('call', 'fax') AND attempt = 'unanswered' THEN 'unanswered'
            WHEN channel IN ('call', 'fax') AND attempt = 'no_human' THEN 'no_human'
            WHEN channel = 'call' AND talk_seconds < getvariable('too_short_seconds') THEN 'too_short'
        END AS exclusion
    FROM judged
),
kept AS (
    -- Of an email to several, only the parties on the never-log list are dropped.
    SELECT *, count(*) FILTER (WHERE exclusion IS NULL) OVER (PARTITION BY conversation_id) AS kept_count
    FROM reasoned
    WHERE channel = 'email'
)
SELECT
    conversation_id, token, domain, 1 AS party_count, channel, source, sources, line, direction, started_at, ended_at,
    talk_started_at, talk_seconds, representative_id, participants, team, function, exclusion,
    conversation_id AS root_id,
    substr(md5(getvariable('company_id') || '|' || channel || '|' || conversation_id), 1, 16) AS evidence_id
FROM reasoned
WHERE channel <> 'email'
UNION ALL
SELECT
    conversation_id, token, domain, kept_count, channel, source, sources, line, direction, started_at, ended_at,
    talk_started_at, talk_seconds, representative_id, participants, team, function, exclusion,
    conversation_id AS root_id,
    substr(md5(getvariable('company_id') || '|' || channel || '|' || conversation_id), 1, 16) AS evidence_id
FROM kept
WHERE exclusion IS NULL OR kept_count = 0;
