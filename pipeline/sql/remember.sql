-- Keeps what was said and is not closed, so that the next fold can tell the difference.
-- needs: old_interaction
DELETE FROM interaction
WHERE rowid IN (
    SELECT said_row FROM said_interaction
    UNION ALL
    SELECT said_row FROM old_interaction SEMI JOIN gone_interaction USING (interaction_id)
);

-- needs: told_interaction
INSERT INTO interaction BY NAME SELECT * EXCLUDE (said_before) FROM told_interaction ANTI JOIN closed_evidence USING (evidence_id);

-- needs: old_activity
DELETE FROM activity WHERE rowid IN (SELECT said_row FROM old_activity);

-- needs: judged_activity
INSERT INTO activity BY NAME
SELECT a.* EXCLUDE (a_no, has_pair), judged.has_pair, judged.status, judged.tier, judged.interaction_id
FROM scope_activity AS a
JOIN judged_activity AS judged ON judged.a_no = a.a_no
ANTI JOIN closed_activity ON closed_activity.a_no = a.a_no;

-- needs: previous_conversation
DELETE FROM leg WHERE raw_id IN (SELECT raw_id FROM scope_leg WHERE NOT is_new);

-- needs: scope_leg
INSERT INTO leg BY NAME SELECT * EXCLUDE (is_new, was_repeat) FROM scope_leg ANTI JOIN closed_conversation USING (conversation_id);

-- needs: previous_conversation
DELETE FROM mail_copy WHERE raw_id IN (SELECT raw_id FROM scope_copy WHERE NOT is_new);

-- needs: scope_copy
INSERT INTO mail_copy BY NAME SELECT * EXCLUDE (is_new, was_repeat) FROM scope_copy ANTI JOIN closed_conversation USING (conversation_id);

-- needs: changed_interaction, changed_activity
DELETE FROM node_edge
WHERE interaction_id IN (SELECT interaction_id FROM changed_interaction)
    OR activity_id IN (SELECT activity_id FROM changed_activity);

-- needs: fresh_node_edge
INSERT INTO node_edge BY NAME SELECT * FROM fresh_node_edge;
