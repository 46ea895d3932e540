-- Establishes the conversations of calls and messages: legs with one identity, put together.
-- Input: scope_leg (all legs of the conversations in question, repeats marked). Output: gathered, several_talkers.
-- Key: conversation_id. Of legs that start together the one with the smaller digest comes first.
-- needs: scope_leg
CREATE OR REPLACE TEMP TABLE gathered AS
WITH member AS (
    SELECT
        *,
        -- 0: somebody talked with the outside; 1: the outside took part; 2: inside only; 3: a mark, no leg.
        CASE WHEN attempt IS NULL AND channel IN ('call', 'fax') THEN 3
            WHEN is_internal THEN 2
            WHEN channel IN ('call', 'fax') AND attempt <> 'talk' THEN 1
            ELSE 0 END AS distance,
        (greatest(epoch_us(started_at), 0)::HUGEINT << 44)
            + (coalesce(record_digest, 0) & 17592186044415)::HUGEINT AS time_order
    FROM scope_leg
    WHERE NOT is_repeat
)
SELECT
    conversation_id,
    arg_min(channel, time_order) AS channel,
    arg_min(source, time_order) AS source,
    min(source) AS first_source,
    max(source) AS last_source,
    max(CASE line WHEN 'contact_center' THEN 3 WHEN 'pbx' THEN 2 WHEN 'mobile' THEN 1 END) AS line_order,
    -- The party: an external leg with a number, with talk, the longest talk, the earliest.
    arg_min_null(
        {'token': token, 'domain': domain},
        CASE WHEN distance < 2 THEN
            ((token IS NULL)::HUGEINT << 126) + (distance::HUGEINT << 125)
            + ((268435455 - least(talk_seconds * 1000, 268435455)::BIGINT)::HUGEINT << 97) + time_order
        END
    ) AS party,
    arg_min(direction, time_order) FILTER (WHERE distance < 2) AS direction,
    -- The legs nearest to talk give the times. Both hold the distance above the microseconds since year -2597.
    min((distance::BIGINT << 60) + epoch_us(started_at) + (1::BIGINT << 57)) AS start_order,
    max(((3 - distance)::BIGINT << 60) + epoch_us(ended_at) + (1::BIGINT << 57)) AS end_order,
    min(coalesce(answered_at, started_at)) FILTER (WHERE distance = 0) AS talk_started_at,
    bool_or(distance < 2 AND attempt = 'unanswered') AS has_unanswered,
    bool_or(automated) AS automated,
    bool_or(bulk) AS bulk,
    bool_or(emergency) AS emergency,
    count(*) FILTER (WHERE distance = 0) AS talk_count,
    sum(talk_seconds) FILTER (WHERE distance = 0) AS talk_seconds,
    max(representative_id) FILTER (WHERE distance = 0) AS representative_id,
    arg_min_null(group_no, time_order) FILTER (WHERE distance = 0) AS talk_group_no,
    arg_min(group_no, (distance::HUGEINT << 125) + time_order) FILTER (WHERE distance < 2) AS group_no
FROM member
GROUP BY conversation_id;

-- needs: gathered
CREATE OR REPLACE TEMP TABLE talked_in_legs AS SELECT conversation_id FROM gathered WHERE talk_count > 1;

-- Talk per own label, where several talked or several logs tell of one talk: the best known basis counts.
-- needs: talked_in_legs
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
    arg_min_null(group_no, {'at': started_at, 'digest': record_digest & 17592186044415}) AS group_no
FROM scope_leg
SEMI JOIN talked_in_legs USING (conversation_id)
WHERE NOT is_repeat AND NOT is_internal AND (channel NOT IN ('call', 'fax') OR attempt = 'talk')
GROUP BY conversation_id, label;

-- needs: label_talk
CREATE OR REPLACE TEMP TABLE several_talkers AS
SELECT
    conversation_id,
    sum(talk_seconds) AS talk_seconds,
    coalesce(list({'id': representative_id, 'group_no': group_no} ORDER BY label_talk.talk_seconds DESC, representative_id)
        FILTER (WHERE representative_id IS NOT NULL), []) AS ranked
FROM label_talk
GROUP BY conversation_id;
