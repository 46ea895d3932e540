-- Keeps what was said, so that the next fold can tell the difference.
-- needs: judged_interaction, gone_interaction
DELETE FROM interaction
WHERE interaction_id IN (SELECT interaction_id FROM judged_interaction)
    OR interaction_id IN (SELECT interaction_id FROM gone_interaction);

-- needs: judged_interaction
INSERT INTO interaction BY NAME SELECT * FROM judged_interaction;

-- needs: judged_activity, changed_activity
DELETE FROM activity
WHERE activity_id IN (SELECT activity_id FROM judged_activity)
    OR activity_id IN (SELECT activity_id FROM changed_activity);

-- needs: judged_activity
INSERT INTO activity BY NAME SELECT * FROM judged_activity;

-- needs: previous_conversation, scope_conversation
DELETE FROM leg WHERE raw_id IN (SELECT raw_id FROM scope_leg WHERE NOT is_new);

-- needs: scope_leg
INSERT INTO leg BY NAME SELECT * EXCLUDE (is_new, was_repeat) FROM scope_leg;

-- needs: previous_conversation, scope_conversation
DELETE FROM mail_copy WHERE raw_id IN (SELECT raw_id FROM scope_copy WHERE NOT is_new);

-- needs: scope_copy
INSERT INTO mail_copy BY NAME SELECT * EXCLUDE (is_new, was_repeat) FROM scope_copy;

-- needs: changed_interaction, changed_activity
DELETE FROM node_edge
WHERE interaction_id IN (SELECT interaction_id FROM changed_interaction)
    OR activity_id IN (SELECT activity_id FROM changed_activity);

-- needs: fresh_node_edge
INSERT INTO node_edge BY NAME SELECT * FROM fresh_node_edge;
