-- Establishes what several systems say together of one call that they all saw.
-- Input: scope_conversation_row, merged. Output: joint_call. Key: evidence_id.
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
    arg_min(group_of, rank) FILTER (WHERE representative_id IS NOT NULL) AS own_group,
    arg_min(group_of, rank) FILTER (WHERE team IS NOT NULL) AS any_group,
    flatten(list(participants ORDER BY rank)) AS participants,
    list_sort(list_distinct(flatten(list(sources)))) AS sources
FROM ranked
GROUP BY evidence_id
HAVING count(*) > 1;
