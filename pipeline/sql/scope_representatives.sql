-- Establishes whose unexplained activities may be inferred traces.
-- Input: draft_interaction, draft_activity, old_interaction, old_activity. Output: scope_representative.
-- needs: draft_interaction, draft_activity, old_interaction, old_activity
CREATE OR REPLACE TEMP TABLE scope_representative AS
SELECT DISTINCT unnest(people) AS representative_id
FROM (
    SELECT representative_ids AS people FROM draft_activity
    UNION ALL
    SELECT representative_ids FROM old_activity SEMI JOIN changed_activity USING (activity_id)
    UNION ALL
    SELECT participants FROM draft_interaction WHERE len(customer_ids) = 0
    UNION ALL
    SELECT participants FROM old_interaction WHERE len(customer_ids) = 0
);
