-- Carries the scope over to the strangers' interactions and unexplained activities of the same representatives.
-- needs: interaction
INSERT INTO scope_interaction BY NAME
SELECT * EXCLUDE (company_id, outcome, reason, activity_id, ticket_id, trace_delay_seconds, window_ends_at)
FROM interaction
ANTI JOIN changed_interaction USING (interaction_id)
ANTI JOIN scope_interaction USING (interaction_id)
WHERE len(customer_ids) = 0 AND coalesce(tier, 'inferred') = 'inferred'
    AND list_has_any(participants, (SELECT coalesce(list(representative_id), []) FROM scope_representative));

-- needs: activity
INSERT INTO scope_activity BY NAME
SELECT *
FROM activity
ANTI JOIN changed_activity USING (activity_id)
ANTI JOIN scope_activity USING (activity_id)
WHERE NOT has_pair AND is_tied
    AND list_has_any(representative_ids, (SELECT coalesce(list(representative_id), []) FROM scope_representative));

-- needs: scope_activity, scope_interaction
INSERT INTO scope_representative
SELECT DISTINCT representative_id
FROM (
    SELECT unnest(representative_ids) AS representative_id FROM scope_activity WHERE NOT has_pair
    UNION ALL
    SELECT unnest(participants) FROM scope_interaction WHERE len(customer_ids) = 0
)
ANTI JOIN scope_representative USING (representative_id);
