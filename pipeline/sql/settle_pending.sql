-- Establishes which open questions the feeds' progress answers, and which it opens again.
-- Input: interaction, complete_through. Output: settled_pending; interaction.
CREATE OR REPLACE TEMP TABLE settled_pending AS
WITH answered AS (
    SELECT *, coalesce(window_ends_at <= getvariable('complete_through'), false) AS is_answered
    FROM interaction
    WHERE outcome IN ('pending', 'bypassed')
)
SELECT * EXCLUDE (is_answered) REPLACE (
    CASE WHEN is_answered THEN 'bypassed' ELSE 'pending' END AS outcome,
    CASE WHEN NOT is_answered THEN NULL WHEN token IS NULL THEN 'withheld'
        WHEN len(customer_ids) = 0 THEN 'unknown_customer' ELSE 'not_logged' END AS reason
)
FROM answered
WHERE is_answered <> (outcome = 'bypassed');

DELETE FROM interaction WHERE interaction_id IN (SELECT interaction_id FROM settled_pending);

INSERT INTO interaction BY NAME SELECT * FROM settled_pending;

CREATE OR REPLACE TEMP TABLE told_pending AS
SELECT * EXCLUDE (domain, party_count, node), true AS said_before FROM settled_pending;
