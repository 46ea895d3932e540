-- Establishes the identifiers whose calls may now merge otherwise, where several sources tell of calls.
-- Input: scope_conversation_row, previous_conversation. Output: scope_token.
-- needs: scope_conversation_row, previous_conversation
CREATE OR REPLACE TEMP TABLE scope_token AS
SELECT DISTINCT token
FROM (
    SELECT token FROM previous_conversation WHERE channel = 'call' AND exclusion IS NULL
    UNION ALL SELECT token FROM scope_conversation_row WHERE channel = 'call' AND exclusion IS NULL
)
WHERE token IS NOT NULL;
