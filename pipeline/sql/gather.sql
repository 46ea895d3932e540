-- Establishes all members of every conversation that fresh observations touch, and which of them are repeats: the
-- same record read again. Input: scope_leg (fresh legs), fresh_copy, relabelled, conversation.
-- Output: scope_leg, scope_copy (key raw_id), previous_conversation.
-- needs: fresh_copy
CREATE OR REPLACE TEMP TABLE labelled_copy AS
SELECT
    fresh_copy.*, coalesce(label.conversation_id, fresh_copy.key) AS conversation_id,
    false AS is_repeat, true AS is_new, false AS was_repeat
FROM fresh_copy
LEFT JOIN key_component AS label ON label.key = fresh_copy.key;

-- needs: scope_leg, labelled_copy, relabelled, everybody
CREATE OR REPLACE TEMP TABLE scope_conversation AS
SELECT DISTINCT conversation_id
FROM (
    SELECT conversation_id FROM scope_leg
    UNION ALL SELECT conversation_id FROM labelled_copy
    UNION ALL SELECT old FROM relabelled
    UNION ALL SELECT new FROM relabelled
    UNION ALL SELECT conversation_id FROM mail_copy WHERE getvariable('everybody')
);

-- Here and elsewhere rows of the state are found through their key alone, and then fetched by number: a scan of many
-- columns costs ten times as much as one of a column. Every leg's conversation was told of.
-- needs: conversation
CREATE OR REPLACE TEMP TABLE known_conversation AS
SELECT conversation.rowid AS row_no FROM conversation SEMI JOIN scope_conversation USING (conversation_id);

-- needs: known_conversation
CREATE OR REPLACE TEMP TABLE previous_conversation AS
SELECT * FROM conversation SEMI JOIN known_conversation ON known_conversation.row_no = conversation.rowid;

-- needs: known_conversation
INSERT INTO scope_leg BY NAME
SELECT *, false AS is_new, is_repeat AS was_repeat
FROM leg
SEMI JOIN (SELECT leg.rowid AS row_no FROM leg SEMI JOIN scope_conversation USING (conversation_id)) AS found
    ON found.row_no = leg.rowid;

-- needs: mail_copy, labelled_copy
CREATE OR REPLACE TEMP TABLE scope_copy AS
SELECT * FROM labelled_copy
UNION ALL BY NAME
SELECT *, false AS is_new, is_repeat AS was_repeat
FROM mail_copy SEMI JOIN scope_conversation USING (conversation_id);

-- needs: scope_leg, scope_copy
CREATE OR REPLACE TEMP TABLE twice_read AS
SELECT record_digest FROM scope_leg GROUP BY record_digest HAVING count(*) > 1
UNION ALL
SELECT record_digest FROM scope_copy GROUP BY record_digest HAVING count(*) > 1;

-- needs: twice_read
CREATE OR REPLACE TEMP TABLE repeated AS
WITH record AS (
    SELECT raw_id, source, key, record_digest FROM scope_leg SEMI JOIN twice_read USING (record_digest)
    UNION ALL
    SELECT raw_id, source, key, record_digest FROM scope_copy SEMI JOIN twice_read USING (record_digest)
),
ranked AS (
    SELECT raw_id, row_number() OVER (PARTITION BY source, key, record_digest ORDER BY raw_id) AS n FROM record
)
SELECT raw_id FROM ranked WHERE n > 1;

-- needs: repeated, known_conversation
UPDATE scope_leg SET is_repeat = raw_id IN (SELECT raw_id FROM repeated)
WHERE is_repeat OR raw_id IN (SELECT raw_id FROM repeated);

-- needs: repeated, mail_copy
UPDATE scope_copy SET is_repeat = raw_id IN (SELECT raw_id FROM repeated)
WHERE is_repeat OR raw_id IN (SELECT raw_id FROM repeated);
