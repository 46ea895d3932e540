-- Carries the scope over to the strangers' interactions and unexplained activities of the same representatives.
-- needs: interaction
CREATE OR REPLACE TEMP TABLE further_interaction AS
SELECT rowid AS said_row, false AS is_changed, *
FROM interaction
WHERE rowid IN (
    SELECT interaction.rowid
    FROM interaction
    ANTI JOIN old_interaction ON old_interaction.said_row = interaction.rowid
    WHERE node >= 'interaction ' AND node < 'interaction!'
        AND len(customer_ids) = 0 AND coalesce(tier, 'inferred') = 'inferred'
        AND list_has_any(participants, (SELECT coalesce(list(representative_id), []) FROM scope_representative))
);

-- needs: activity
CREATE OR REPLACE TEMP TABLE further_activity AS
SELECT rowid AS said_row, *
FROM activity
WHERE rowid IN (
    SELECT activity.rowid
    FROM activity
    ANTI JOIN old_activity ON old_activity.said_row = activity.rowid
    WHERE NOT has_pair AND is_tied
        AND list_has_any(representative_ids, (SELECT coalesce(list(representative_id), []) FROM scope_representative))
);

-- needs: further_interaction
INSERT INTO old_interaction SELECT * FROM further_interaction;

-- needs: further_activity
INSERT INTO old_activity SELECT * FROM further_activity;

-- needs: further_activity
INSERT INTO draft_activity BY NAME
SELECT
    activity_id, kind, logged_from, logged_to, keys, tokens, is_tied, customer_ids, representative_ids, teams, node,
    has_pair
FROM further_activity;

-- needs: further_interaction, further_activity
INSERT INTO scope_representative
SELECT DISTINCT representative_id
FROM (
    SELECT unnest(representative_ids) AS representative_id FROM further_activity
    UNION ALL
    SELECT unnest(participants) FROM further_interaction
)
ANTI JOIN scope_representative USING (representative_id);
