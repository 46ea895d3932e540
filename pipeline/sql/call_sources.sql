-- Establishes which sources ever told of a call: with one alone, no call can be seen twice.
-- Input: scope_conversation_row. Output: call_source.
-- needs: scope_conversation_row
INSERT INTO call_source
SELECT DISTINCT source FROM scope_conversation_row WHERE channel = 'call' AND source NOT IN (FROM call_source);
