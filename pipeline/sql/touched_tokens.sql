-- Establishes what was said of the conversations in question, and the identifiers whose calls may now merge otherwise.
-- Input: scope_conversation_row, scope_conversation, conversation. Output: previous_conversation, call_source,
-- scope_token.
-- needs: conversation
CREATE OR REPLACE TEMP TABLE previous_conversation AS
SELECT *
FROM conversation
SEMI JOIN (
    SELECT conversation.rowid AS row_no FROM conversation SEMI JOIN scope_conversation USING (conversation_id)
) AS found ON found.row_no = conversation.rowid;

-- needs: scope_conversation_row
INSERT INTO call_source
SELECT DISTINCT source FROM scope_conversation_row WHERE channel = 'call' AND source NOT IN (FROM call_source);

-- needs: scope_conversation_row, previous_conversation
CREATE OR REPLACE TEMP TABLE scope_token AS
SELECT DISTINCT token
FROM (
    SELECT token FROM previous_conversation WHERE channel = 'call' AND exclusion IS NULL
    UNION ALL SELECT token FROM scope_conversation_row WHERE channel = 'call' AND exclusion IS NULL
)
WHERE token IS NOT NULL AND (SELECT count(*) FROM call_source) > 1;
