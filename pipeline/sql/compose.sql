-- Establishes what several systems say together of one call that they all saw: the row of the call's root says it.
-- Input: scope_conversation_row, merged. Output: joint_call (key evidence_id), scope_conversation_row.
-- needs: merged
CREATE OR REPLACE TEMP TABLE joint_call AS
WITH ranked AS (
    SELECT
        *,
        {'line': CASE line WHEN 'contact_center' THEN 0 WHEN 'pbx' THEN 1 WHEN 'mobile' THEN 2 ELSE 3 END,
         'source': source} AS rank,
        {'team': team, 'function': function} AS group_of
    FROM scope_conversation_row
    WHERE exclusion IS NULL AND conversation_id IN (SELECT conversation_id FROM merged)
)
SELECT
    evidence_id,
    arg_min(line, rank) AS line,
    arg_min(representative_id, rank) AS representative_id,
    coalesce(
        arg_min(group_of, rank) FILTER (WHERE representative_id IS NOT NULL),
        arg_min(group_of, rank) FILTER (WHERE team IS NOT NULL)
    ) AS group_of,
    flatten(list(participants ORDER BY rank)) AS participants,
    list_sort(list_distinct(flatten(list(sources)))) AS sources
FROM ranked
GROUP BY evidence_id
HAVING count(*) > 1;

-- needs: joint_call
UPDATE scope_conversation_row SET
    line = coalesce(joint.line, scope_conversation_row.line),
    representative_id = joint.representative_id,
    participants = list_filter(joint.participants, lambda p, n: list_position(joint.participants, p) = n),
    team = joint.group_of.team,
    function = joint.group_of.function,
    sources = joint.sources
FROM joint_call AS joint
WHERE joint.evidence_id = scope_conversation_row.evidence_id
    AND scope_conversation_row.root_id = scope_conversation_row.conversation_id;
