-- Establishes whose matches the changed interactions and activities may affect: nodes, see node_edge.
-- Input: draft_interaction, gone_interaction, changed_activity, draft_activity, scope_leg, scope_copy, mate. Output:
-- changed_interaction, activity_key, exact_pair, fresh_node_edge, scope_node.
-- needs: draft_interaction, gone_interaction
CREATE OR REPLACE TEMP TABLE changed_interaction AS
SELECT interaction_id FROM draft_interaction
UNION ALL
SELECT interaction_id FROM gone_interaction;

-- needs: changed_activity
DELETE FROM activity_key WHERE activity_id IN (SELECT activity_id FROM changed_activity);

-- needs: draft_activity
INSERT INTO activity_key SELECT unnest(keys), activity_id FROM draft_activity;

-- needs: touched_evidence, changed_activity
DELETE FROM exact_pair
WHERE evidence_id IN (SELECT evidence_id FROM touched_evidence)
    OR activity_id IN (SELECT activity_id FROM changed_activity);

-- needs: activity_key
CREATE OR REPLACE TEMP TABLE fresh_pair AS
WITH carried AS (
    SELECT conversation_id, activity_id FROM scope_leg JOIN activity_key ON activity_key.key = scope_leg.event_id
    UNION ALL
    SELECT conversation_id, activity_id FROM scope_leg JOIN activity_key ON activity_key.key = scope_leg.session_id
    UNION ALL
    SELECT conversation_id, activity_id FROM scope_copy JOIN activity_key ON activity_key.key = scope_copy.event_id
    UNION ALL
    SELECT conversation_id, activity_id FROM scope_copy JOIN activity_key ON activity_key.key = scope_copy.session_id
),
leg_of_mate AS (
    SELECT conversation_id, event_id, session_id FROM leg SEMI JOIN mate USING (conversation_id)
),
carried_by_mate AS (
    SELECT conversation_id, activity_id FROM leg_of_mate JOIN activity_key ON activity_key.key = leg_of_mate.event_id
    UNION ALL
    SELECT conversation_id, activity_id FROM leg_of_mate JOIN activity_key ON activity_key.key = leg_of_mate.session_id
),
changed_key AS (
    SELECT * FROM activity_key SEMI JOIN changed_activity USING (activity_id)
),
carried_before AS (
    SELECT conversation_id, activity_id FROM leg JOIN changed_key ON changed_key.key = leg.event_id
    UNION ALL
    SELECT conversation_id, activity_id FROM leg JOIN changed_key ON changed_key.key = leg.session_id
    UNION ALL
    SELECT conversation_id, activity_id FROM mail_copy JOIN changed_key ON changed_key.key = mail_copy.event_id
    UNION ALL
    SELECT conversation_id, activity_id FROM mail_copy JOIN changed_key ON changed_key.key = mail_copy.session_id
)
SELECT DISTINCT conversation.evidence_id, activity_id
FROM (
    SELECT * FROM carried
    UNION ALL
    SELECT * FROM carried_by_mate
    UNION ALL
    SELECT * FROM carried_before ANTI JOIN scope_conversation USING (conversation_id)
)
JOIN conversation USING (conversation_id)
WHERE conversation.exclusion IS NULL;

-- needs: fresh_pair
INSERT INTO exact_pair SELECT * FROM fresh_pair ANTI JOIN exact_pair USING (evidence_id, activity_id);

-- needs: draft_interaction, draft_activity
CREATE OR REPLACE TEMP TABLE fresh_node_edge AS
SELECT customer_ids[1] AS a, unnest(customer_ids[2:]) AS b, interaction_id, NULL::VARCHAR AS activity_id
FROM draft_interaction
WHERE len(customer_ids) > 1
UNION ALL
SELECT customer_ids[1], unnest(customer_ids[2:]), NULL, activity_id
FROM draft_activity
WHERE len(customer_ids) > 1;

-- needs: fresh_pair, exact_pair
INSERT INTO fresh_node_edge
WITH pair AS (
    SELECT * FROM fresh_pair
    UNION
    SELECT * FROM exact_pair SEMI JOIN draft_interaction USING (evidence_id)
),
present_interaction AS (
    SELECT interaction_id, evidence_id, node FROM draft_interaction
    UNION ALL
    SELECT interaction_id, evidence_id, node FROM interaction ANTI JOIN changed_interaction USING (interaction_id)
),
present_activity AS (
    SELECT activity_id, node FROM draft_activity
    UNION ALL
    SELECT activity_id, node FROM activity ANTI JOIN changed_activity USING (activity_id)
)
SELECT i.node, a.node, i.interaction_id, a.activity_id
FROM pair
JOIN present_interaction AS i ON i.evidence_id = pair.evidence_id
JOIN present_activity AS a ON a.activity_id = pair.activity_id
WHERE i.node <> a.node;

-- needs: draft_activity
CREATE OR REPLACE TEMP TABLE scope_node AS SELECT DISTINCT node FROM draft_activity;

-- An interaction that begins after all that was logged of its node has no pair and affects no other: live, most do.
-- needs: draft_interaction
INSERT INTO scope_node
SELECT DISTINCT node
FROM draft_interaction
JOIN (
    SELECT node, max(logged_to) AS latest FROM activity SEMI JOIN draft_interaction USING (node) GROUP BY node
) AS logged USING (node)
ANTI JOIN scope_node USING (node)
WHERE latest >= started_at - getvariable('before');

-- What is paired exactly may have been logged at any time, and what was logged of one node counts for those beside it.
-- needs: fresh_pair, fresh_node_edge, node_edge
INSERT INTO scope_node
SELECT DISTINCT node
FROM draft_interaction
ANTI JOIN scope_node USING (node)
WHERE evidence_id IN (SELECT evidence_id FROM fresh_pair)
    OR node IN (SELECT a FROM node_edge UNION ALL SELECT b FROM node_edge)
    OR node IN (SELECT a FROM fresh_node_edge UNION ALL SELECT b FROM fresh_node_edge);

-- needs: touched_evidence, stale_interaction
INSERT INTO scope_node
SELECT DISTINCT node FROM interaction SEMI JOIN changed_interaction USING (interaction_id) ANTI JOIN scope_node USING (node);

-- needs: known_activity
INSERT INTO scope_node
SELECT DISTINCT node FROM known_activity ANTI JOIN scope_node USING (node);

-- needs: has_ticket
INSERT INTO scope_node
WITH ticket_token AS (
    SELECT unnest(tokens) AS token FROM draft_activity WHERE NOT is_tied
    UNION ALL
    SELECT unnest(tokens) FROM known_activity WHERE NOT is_tied
)
SELECT DISTINCT node
FROM interaction
SEMI JOIN ticket_token USING (token)
ANTI JOIN scope_node USING (node);
