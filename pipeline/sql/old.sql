-- Establishes whether anything is so old that it may be forgotten: as long as nothing is, to close time costs nothing.
-- Input: conversation, interaction, judged_interaction, activity_fact. Output: old, one row or none.
CREATE OR REPLACE TEMP TABLE old AS
SELECT true AS is_old
FROM (
    SELECT min(ended_at) + getvariable('window_after') AS until FROM conversation
    UNION ALL
    SELECT min(window_ends_at) FROM interaction
    UNION ALL
    SELECT min(window_ends_at) FROM judged_interaction
    UNION ALL
    SELECT min(logged_to) + getvariable('before') FROM activity_fact
)
HAVING min(until) < getvariable('closed_through');
