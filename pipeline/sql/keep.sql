-- Establishes the evidence that stays open: an interaction stays while an activity in doubt may be about it, and while
-- another interaction of the same evidence stays.
-- Input: doubtful_activity, doubtful_interaction, candidate, conversation. Output: kept_evidence.
CREATE OR REPLACE TEMP TABLE kept_evidence AS
SELECT evidence_id
FROM scope_interaction
SEMI JOIN (
    SELECT i_no FROM doubtful_interaction
    UNION ALL
    SELECT i_no FROM candidate SEMI JOIN doubtful_activity USING (a_no)
) AS kept USING (i_no)
UNION
SELECT evidence_id FROM conversation
WHERE exclusion IS NOT NULL AND ended_at + getvariable('window_after') >= getvariable('closed_through');

-- An activity of a crowd may be about any interaction that is not too long over.
-- needs: crowd
INSERT INTO kept_evidence
SELECT DISTINCT evidence_id
FROM (
    SELECT customer_id, min(logged_from) - epoch_us(getvariable('window_after')) AS since
    FROM crowd_activity
    SEMI JOIN doubtful_activity USING (a_no)
    GROUP BY customer_id
) AS doubtful
JOIN crowd_interaction ON crowd_interaction.customer_id = doubtful.customer_id AND crowd_interaction.ended >= since
JOIN scope_interaction ON scope_interaction.i_no = crowd_interaction.i_no;
