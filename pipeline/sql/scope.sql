-- Establishes the interactions and activities to be matched again.
-- Input: scope_node, draft_interaction, fresh_activity. Output: scope_interaction, scope_activity,
-- scope_representative (whose unexplained activities may be inferred traces).
-- needs: scope_node
CREATE OR REPLACE TEMP TABLE scope_interaction AS
SELECT * FROM draft_interaction
UNION ALL BY NAME
SELECT * EXCLUDE (company_id, outcome, reason, activity_id, ticket_id, trace_delay_seconds, window_ends_at)
FROM interaction
SEMI JOIN scope_node USING (node)
ANTI JOIN changed_interaction USING (interaction_id);

-- needs: scope_node
CREATE OR REPLACE TEMP TABLE scope_activity AS
SELECT * FROM fresh_activity
UNION ALL BY NAME
SELECT * FROM activity SEMI JOIN scope_node USING (node) ANTI JOIN changed_activity USING (activity_id);

-- needs: scope_interaction, scope_activity, changed_activity, changed_interaction
CREATE OR REPLACE TEMP TABLE scope_representative AS
SELECT DISTINCT unnest(people) AS representative_id
FROM (
    SELECT representative_ids AS people FROM scope_activity
    UNION ALL
    SELECT representative_ids FROM activity SEMI JOIN changed_activity USING (activity_id)
    UNION ALL
    SELECT participants FROM scope_interaction WHERE len(customer_ids) = 0
    UNION ALL
    SELECT participants FROM interaction SEMI JOIN changed_interaction USING (interaction_id) WHERE len(customer_ids) = 0
);
