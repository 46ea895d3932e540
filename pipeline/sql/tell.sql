-- Establishes what is said anew: the difference to what was said before.
-- Input: judged_interaction, judged_activity, scope_leg, scope_copy, and the state. Output: told_*.
-- needs: judged_interaction
CREATE OR REPLACE TEMP TABLE told_interaction AS
SELECT judged.* EXCLUDE (domain, party_count, node), before.interaction_id IS NOT NULL AS said_before
FROM judged_interaction AS judged
LEFT JOIN interaction AS before ON before.interaction_id = judged.interaction_id
WHERE before.interaction_id IS NULL OR judged IS DISTINCT FROM before;

-- needs: gone_interaction
CREATE OR REPLACE TEMP TABLE told_retracted AS
SELECT interaction_id FROM gone_interaction;

-- needs: judged_activity, changed_activity
CREATE OR REPLACE TEMP TABLE told_activity_outcome AS
SELECT judged.activity_id, judged.status, judged.tier, judged.interaction_id, judged.customer_ids, judged.representative_ids,
    before.activity_id IS NOT NULL AS said_before
FROM judged_activity AS judged
LEFT JOIN activity AS before ON before.activity_id = judged.activity_id
WHERE before.activity_id IS NULL
    OR (judged.status, judged.tier, judged.interaction_id, judged.customer_ids, judged.representative_ids)
        IS DISTINCT FROM
        (before.status, before.tier, before.interaction_id, before.customer_ids, before.representative_ids)
UNION ALL
SELECT activity_id, 'deleted', NULL, NULL, NULL, NULL, true
FROM activity
SEMI JOIN changed_activity USING (activity_id)
ANTI JOIN judged_activity USING (activity_id);

-- needs: scope_conversation_row
CREATE OR REPLACE TEMP TABLE standing AS
WITH now AS (
    SELECT conversation_id, any_value(exclusion) AS reason, any_value(evidence_id) AS evidence_id
    FROM scope_conversation_row
    GROUP BY conversation_id
),
before AS (
    SELECT conversation_id, any_value(exclusion) AS reason, any_value(evidence_id) AS evidence_id
    FROM previous_conversation
    GROUP BY conversation_id
)
SELECT
    now.conversation_id, now.reason,
    CASE WHEN now.reason IS NULL THEN now.evidence_id END AS evidence_id,
    now.reason IS DISTINCT FROM before.reason OR now.evidence_id IS DISTINCT FROM before.evidence_id
        OR now.conversation_id IN (SELECT new FROM relabelled) AS is_changed
FROM now
LEFT JOIN before ON before.conversation_id = now.conversation_id;

-- needs: standing
CREATE OR REPLACE TEMP TABLE told_disposition AS
SELECT
    raw_id,
    CASE WHEN is_repeat THEN 'duplicate' WHEN standing.reason IS NULL THEN 'interaction' ELSE 'excluded' END
        AS disposition,
    CASE WHEN NOT is_repeat THEN standing.reason END AS reason,
    CASE WHEN NOT is_repeat THEN standing.evidence_id END AS evidence_id,
    NOT is_new AS said_before
FROM (
    SELECT raw_id, conversation_id, is_repeat, is_new, is_new OR is_repeat <> was_repeat AS is_changed FROM scope_leg
    UNION ALL
    SELECT raw_id, conversation_id, is_repeat, is_new, is_new OR is_repeat <> was_repeat FROM scope_copy
) AS member
JOIN standing ON standing.conversation_id = member.conversation_id
WHERE member.is_changed OR (standing.is_changed AND NOT is_repeat);
