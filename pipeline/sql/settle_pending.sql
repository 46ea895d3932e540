-- Establishes which open questions the feeds' progress answers, and which it opens again.
-- Input: interaction, complete_through. Output: settled_pending; interaction.
CREATE OR REPLACE TEMP TABLE settled_pending AS
WITH answered AS (
    SELECT rowid AS said_row, outcome, coalesce(window_ends_at <= getvariable('complete_through'), false) AS is_answered
    FROM interaction
    WHERE outcome IN ('pending', 'bypassed')
)
SELECT said_row, is_answered FROM answered WHERE is_answered <> (outcome = 'bypassed');

-- needs: settled_pending
CREATE OR REPLACE TEMP TABLE told_pending AS
SELECT
    interaction.* REPLACE (
        CASE WHEN is_answered THEN 'bypassed' ELSE 'pending' END AS outcome,
        CASE WHEN NOT is_answered THEN NULL WHEN token IS NULL THEN 'withheld'
            WHEN len(customer_ids) = 0 THEN 'unknown_customer' ELSE 'not_logged' END AS reason
    ),
    true AS said_before
FROM interaction
JOIN settled_pending ON settled_pending.said_row = interaction.rowid;

-- needs: settled_pending
DELETE FROM interaction WHERE rowid IN (SELECT said_row FROM settled_pending);

-- needs: told_pending
INSERT INTO interaction BY NAME SELECT * EXCLUDE (said_before) FROM told_pending;
