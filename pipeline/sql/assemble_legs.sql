-- Establishes the conversations of calls and messages: legs with one identity, put together.
-- Input: scope_leg (all legs of the conversations in question, repeats marked). Output: drafted_conversation.
-- Key: conversation_id. Of legs that start together the one with the smaller digest comes first.
-- needs: scope_leg
CREATE OR REPLACE TEMP TABLE gathered AS
WITH member AS (
    SELECT
        *,
        attempt IS NOT NULL OR channel NOT IN ('call', 'fax') AS is_leg,
        (attempt IS NOT NULL OR channel NOT IN ('call', 'fax')) AND NOT is_internal AS is_external,
        NOT is_internal AND (channel NOT IN ('call', 'fax') OR coalesce(attempt = 'talk', false)) AS is_talk,
        (greatest(epoch_us(started_at), 0)::HUGEINT << 44)
            + (coalesce(record_digest, 0) & 17592186044415)::HUGEINT AS time_order
    FROM scope_leg
    WHERE NOT is_repeat
),
keyed AS (
    SELECT
        *,
        -- Smallest first: an external leg with a number, with talk, the longest talk, the earliest.
        CASE WHEN is_external THEN
            ((token IS NULL)::HUGEINT << 126) + ((NOT is_talk)::HUGEINT << 125)
            + ((268435455 - least(talk_seconds * 1000, 268435455)::BIGINT)::HUGEINT << 97) + time_order
        END AS party_order,
        CASE WHEN is_external AND team IS NOT NULL THEN ((NOT is_talk)::HUGEINT << 125) + time_order END AS team_order
    FROM member
)
SELECT
    conversation_id,
    arg_min(channel, time_order) AS channel,
    arg_min(source, time_order) AS source,
    min(source) AS first_source,
    max(source) AS last_source,
    max(CASE line WHEN 'contact_center' THEN 3 WHEN 'pbx' THEN 2 WHEN 'mobile' THEN 1 END) AS line_order,
    arg_min_null(token, party_order) AS token,
    arg_min_null(domain, party_order) AS domain,
    arg_min(direction, time_order) FILTER (WHERE is_external) AS direction,
    coalesce(
        min(started_at) FILTER (WHERE is_talk), min(started_at) FILTER (WHERE is_external),
        min(started_at) FILTER (WHERE is_leg), min(started_at)
    ) AS started_at,
    coalesce(
        max(ended_at) FILTER (WHERE is_talk), max(ended_at) FILTER (WHERE is_external),
        max(ended_at) FILTER (WHERE is_leg), max(ended_at)
    ) AS ended_at,
    min(coalesce(answered_at, started_at)) FILTER (WHERE is_talk) AS talk_started_at,
    arg_min_null(team, team_order) AS leg_team,
    arg_min_null(function, team_order) AS leg_function,
    bool_or(is_leg) AND NOT bool_or(is_external) AS is_internal,
    bool_or(is_talk) AS has_talk,
    bool_or(is_external AND attempt = 'unanswered') AS has_unanswered,
    bool_or(automated) AS automated,
    bool_or(bulk) AS bulk,
    bool_or(emergency) AS emergency,
    sum(talk_seconds) FILTER (WHERE is_talk) AS talk_seconds,
    max(representative_id) FILTER (WHERE is_talk) AS representative_id,
    arg_min_null(team, time_order) FILTER (WHERE is_talk) AS team,
    arg_min_null(function, time_order) FILTER (WHERE is_talk) AS function,
    min(label) FILTER (WHERE is_talk) <> max(label) FILTER (WHERE is_talk)
        OR min(talk_basis) FILTER (WHERE is_talk) <> max(talk_basis) FILTER (WHERE is_talk) AS has_several_talkers
FROM keyed
GROUP BY conversation_id;

-- Talk per own label, where several talked or several logs tell of one talk: the best known basis counts.
-- needs: scope_leg
CREATE OR REPLACE TEMP TABLE label_talk AS
SELECT
    conversation_id,
    label,
    max(representative_id) AS representative_id,
    coalesce(
        sum(talk_seconds) FILTER (WHERE talk_basis >= 3),
        sum(talk_seconds) FILTER (WHERE talk_basis = 2),
        sum(talk_seconds) FILTER (WHERE talk_basis = 1),
        sum(talk_seconds)
    ) AS talk_seconds,
    arg_min_null({'team': team, 'function': function}, {'at': started_at, 'digest': record_digest & 17592186044415})
        AS group_of
FROM scope_leg
SEMI JOIN (SELECT conversation_id FROM gathered WHERE has_several_talkers) AS several USING (conversation_id)
WHERE NOT is_repeat AND NOT is_internal AND (channel NOT IN ('call', 'fax') OR attempt = 'talk')
GROUP BY conversation_id, label;

-- needs: label_talk
CREATE OR REPLACE TEMP TABLE several_talkers AS
SELECT
    conversation_id,
    sum(talk_seconds) AS talk_seconds,
    coalesce(list({'id': representative_id, 'group_of': group_of} ORDER BY label_talk.talk_seconds DESC, representative_id)
        FILTER (WHERE representative_id IS NOT NULL), []) AS ranked
FROM label_talk
GROUP BY conversation_id;

-- needs: gathered
CREATE OR REPLACE TEMP TABLE drafted_conversation AS
SELECT
    gathered.conversation_id,
    token,
    domain,
    channel, source,
    CASE WHEN first_source = last_source THEN [first_source] ELSE [first_source, last_source] END AS sources,
    CASE line_order WHEN 3 THEN 'contact_center' WHEN 2 THEN 'pbx' WHEN 1 THEN 'mobile' END AS line,
    direction, started_at, ended_at, talk_started_at,
    coalesce(several.talk_seconds, gathered.talk_seconds, 0) AS talk_seconds,
    CASE WHEN several.ranked IS NULL THEN representative_id ELSE ranked[1].id END AS representative_id,
    CASE WHEN several.ranked IS NOT NULL THEN list_transform(ranked, lambda r: r.id)
        WHEN representative_id IS NULL THEN [] ELSE [representative_id] END AS participants,
    CASE WHEN len(ranked) > 0 THEN ranked[1].group_of.team
        WHEN several.ranked IS NULL AND representative_id IS NOT NULL THEN team ELSE leg_team END AS team,
    CASE WHEN len(ranked) > 0 THEN ranked[1].group_of.function
        WHEN several.ranked IS NULL AND representative_id IS NOT NULL THEN function ELSE leg_function END AS function,
    is_internal,
    CASE WHEN has_talk THEN 'talk' WHEN has_unanswered THEN 'unanswered' ELSE 'no_human' END AS attempt,
    coalesce(automated, false) AS automated, coalesce(bulk, false) AS bulk, coalesce(emergency, false) AS emergency
FROM gathered
LEFT JOIN several_talkers AS several ON several.conversation_id = gathered.conversation_id;
