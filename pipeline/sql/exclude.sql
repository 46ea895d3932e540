-- Establishes what each conversation was, and which are no interaction, each with the first reason that applies.
-- Input: gathered, several_talkers, gathered_mail, group_row. Output: scope_conversation_row.
-- Key: (conversation_id, token).
-- needs: gathered
CREATE OR REPLACE TEMP TABLE scope_conversation_row AS
WITH named AS (
    SELECT
        gathered.* EXCLUDE (talk_seconds, representative_id, group_no, start_order, end_order, party),
        party.token AS token,
        party.domain AS domain,
        start_order >> 60 AS distance,
        make_timestamp((start_order & ((1::BIGINT << 60) - 1)) - (1::BIGINT << 57)) AS started_at,
        make_timestamp((end_order & ((1::BIGINT << 60) - 1)) - (1::BIGINT << 57)) AS ended_at,
        coalesce(several.talk_seconds, gathered.talk_seconds, 0) AS talk_seconds,
        CASE WHEN ranked IS NULL THEN representative_id ELSE ranked[1].id END AS representative_id,
        CASE WHEN ranked IS NOT NULL THEN list_transform(ranked, lambda r: r.id)
            WHEN representative_id IS NULL THEN [] ELSE [representative_id] END AS participants,
        CASE WHEN len(ranked) > 0 THEN ranked[1].group_no
            WHEN ranked IS NULL AND representative_id IS NOT NULL THEN talk_group_no ELSE group_no END AS group_no
    FROM gathered
    LEFT JOIN several_talkers AS several ON several.conversation_id = gathered.conversation_id
)
SELECT
    conversation_id, token, domain, 1 AS party_count, channel, source,
    CASE WHEN first_source = last_source THEN [first_source] ELSE [first_source, last_source] END AS sources,
    CASE line_order WHEN 3 THEN 'contact_center' WHEN 2 THEN 'pbx' WHEN 1 THEN 'mobile' END AS line,
    direction, started_at, ended_at, talk_started_at, talk_seconds, representative_id, participants,
    group_row.team, group_row.function,
    CASE
        WHEN distance = 2 THEN 'internal'
        WHEN automated THEN 'automated'
        WHEN bulk THEN 'bulk'
        WHEN emergency THEN 'emergency'
        WHEN list_contains(getvariable('never_log'), token) OR list_contains(getvariable('never_log'), domain)
            THEN 'never_log'
        WHEN channel NOT IN ('call', 'fax') THEN NULL
        WHEN distance > 0 THEN CASE WHEN has_unanswered THEN 'unanswered' ELSE 'no_human' END
        WHEN channel = 'call' AND talk_seconds < getvariable('too_short_seconds') THEN 'too_short'
    END AS exclusion,
    conversation_id AS root_id,
    substr(md5(getvariable('company_id') || '|' || channel || '|' || conversation_id), 1, 16) AS evidence_id
FROM named
LEFT JOIN group_row ON group_row.group_no = named.group_no;

-- needs: gathered_mail
INSERT INTO scope_conversation_row BY NAME
WITH reasoned AS (
    SELECT
        *,
        CASE
            WHEN is_internal THEN 'internal'
            WHEN automated THEN 'automated'
            WHEN bulk THEN 'bulk'
            WHEN list_contains(getvariable('never_log'), token) OR list_contains(getvariable('never_log'), domain)
                THEN 'never_log'
        END AS exclusion
    FROM gathered_mail
),
counted AS (
    SELECT *, count(*) FILTER (WHERE exclusion IS NULL) OVER (PARTITION BY conversation_id) AS kept_count FROM reasoned
)
-- Of an email to several, only the parties on the never-log list are dropped.
SELECT
    * EXCLUDE (is_internal, automated, bulk, kept_count),
    kept_count AS party_count,
    conversation_id AS root_id,
    substr(md5(getvariable('company_id') || '|' || channel || '|' || conversation_id), 1, 16) AS evidence_id
FROM counted
WHERE exclusion IS NULL OR kept_count = 0;
