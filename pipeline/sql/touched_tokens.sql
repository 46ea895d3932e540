-- Establishes what was said of the conversations in question, and the identifiers whose calls may now merge otherwise.
-- Input: scope_conversation_row, scope_conversation, conversation. Output: previous_conversation, merge_source,
-- scope_token.
-- needs: conversation
CREATE OR REPLACE TEMP TABLE previous_conversation AS
SELECT * FROM conversation SEMI JOIN scope_conversation USING (conversation_id);

-- needs: scope_conversation_row, previous_conversation
CREATE OR REPLACE TEMP TABLE merge_source AS
SELECT source FROM conversation WHERE channel = 'call' AND exclusion IS NULL GROUP BY source
UNION
SELECT source FROM scope_conversation_row WHERE channel = 'call' AND exclusion IS NULL GROUP BY source;

-- needs: merge_source
CREATE OR REPLACE TEMP TABLE scope_token AS
SELECT DISTINCT token
FROM (
    SELECT token FROM previous_conversation WHERE channel = 'call' AND exclusion IS NULL
    UNION ALL SELECT token FROM scope_conversation_row WHERE channel = 'call' AND exclusion IS NULL
)
WHERE token IS NOT NULL AND (SELECT count(*) FROM merge_source) > 1;
