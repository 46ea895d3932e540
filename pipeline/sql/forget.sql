-- Forgets what can no longer change. An activity stays with the interaction it explains, an untied ticket with those
-- that it may be about.
-- Input: kept_evidence, doubtful_activity. Output: the state, smaller.
CREATE OR REPLACE TABLE interaction AS
SELECT * FROM interaction
WHERE rowid IN (SELECT interaction.rowid FROM interaction SEMI JOIN kept_evidence USING (evidence_id));

CREATE OR REPLACE TABLE conversation AS
SELECT * FROM conversation
WHERE rowid IN (SELECT conversation.rowid FROM conversation SEMI JOIN kept_evidence USING (evidence_id));

CREATE OR REPLACE TABLE leg AS
SELECT * FROM leg
WHERE rowid IN (SELECT leg.rowid FROM leg SEMI JOIN conversation USING (conversation_id));

CREATE OR REPLACE TABLE mail_copy AS
SELECT * FROM mail_copy SEMI JOIN conversation USING (conversation_id);

CREATE OR REPLACE TABLE key_component AS
SELECT * FROM key_component SEMI JOIN conversation USING (conversation_id);

CREATE OR REPLACE TABLE activity AS
SELECT * FROM activity
WHERE rowid IN (SELECT a_no FROM doubtful_activity)
    OR (status = 'trace' AND interaction_id IN (SELECT interaction_id FROM interaction))
    OR activity_id IN (
        SELECT activity_id
        FROM (SELECT activity_id, unnest(tokens) AS token FROM activity WHERE NOT is_tied) AS ticket
        SEMI JOIN interaction USING (token)
    )
    OR activity_id IN (
        SELECT activity_id
        FROM exact_pair
        SEMI JOIN (SELECT activity_id FROM activity WHERE NOT is_tied) AS ticket USING (activity_id)
        SEMI JOIN interaction USING (evidence_id)
    );

CREATE OR REPLACE TABLE activity_fact AS
SELECT * FROM activity_fact
WHERE activity_id IN (SELECT activity_id FROM activity)
    OR (deleted AND logged_to + getvariable('before') >= getvariable('closed_through'));

CREATE OR REPLACE TABLE activity_key AS SELECT * FROM activity_key SEMI JOIN activity USING (activity_id);

CREATE OR REPLACE TABLE exact_pair AS
SELECT * FROM exact_pair SEMI JOIN activity USING (activity_id) SEMI JOIN interaction USING (evidence_id);

CREATE OR REPLACE TABLE node_edge AS
SELECT * FROM node_edge
WHERE (interaction_id IS NULL OR interaction_id IN (SELECT interaction_id FROM interaction))
    AND (activity_id IS NULL OR activity_id IN (SELECT activity_id FROM activity));
