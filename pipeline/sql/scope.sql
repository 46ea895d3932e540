-- Establishes the interactions and activities to be matched again: to those that changed come those of the same nodes.
-- Input: scope_node, changed_interaction, draft_activity, changed_activity. Output: old_interaction and old_activity
-- (what the scope was before; said_row is the row in the state), draft_activity (grown by those that did not change).
-- scope_interaction shows the drafts and the old ones that did not change, scope_activity the drafts, with the numbers
-- i_no and a_no.
-- needs: scope_node
CREATE OR REPLACE TEMP TABLE old_interaction AS
SELECT rowid AS said_row, interaction_id IN (SELECT interaction_id FROM changed_interaction) AS is_changed, *
FROM interaction
WHERE rowid IN (SELECT interaction.rowid FROM interaction SEMI JOIN scope_node USING (node));

-- needs: scope_node
CREATE OR REPLACE TEMP TABLE old_activity AS
SELECT rowid AS said_row, *
FROM activity
WHERE rowid IN (SELECT activity.rowid FROM activity SEMI JOIN scope_node USING (node));

-- needs: old_activity
INSERT INTO draft_activity BY NAME
SELECT
    activity_id, kind, logged_from, logged_to, keys, tokens, is_tied, customer_ids, representative_ids, teams, node,
    has_pair
FROM old_activity
ANTI JOIN changed_activity USING (activity_id);
