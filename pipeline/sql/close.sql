-- Establishes what of a fold is closed already, so that it need not be remembered. What was remembered before, and
-- untied tickets, are left to be forgotten later.
-- Input: kept_evidence, doubtful_activity, draft_interaction, scope_conversation_row, judged_activity, the state.
-- Output: closed_evidence, closed_conversation, closed_activity (a_no).
CREATE OR REPLACE TEMP TABLE closed_evidence AS
SELECT evidence_id
FROM (SELECT evidence_id FROM draft_interaction UNION SELECT evidence_id FROM scope_conversation_row)
ANTI JOIN kept_evidence USING (evidence_id)
ANTI JOIN interaction USING (evidence_id);

CREATE OR REPLACE TEMP TABLE closed_conversation AS
SELECT DISTINCT conversation_id FROM scope_conversation_row SEMI JOIN closed_evidence USING (evidence_id);

CREATE OR REPLACE TEMP TABLE closed_activity AS
SELECT judged.a_no
FROM judged_activity AS judged
JOIN scope_activity AS a ON a.a_no = judged.a_no
LEFT JOIN draft_interaction AS i ON i.interaction_id = judged.interaction_id
ANTI JOIN doubtful_activity ON doubtful_activity.a_no = judged.a_no
WHERE a.is_tied AND (judged.status <> 'trace' OR i.evidence_id IN (SELECT evidence_id FROM closed_evidence));
