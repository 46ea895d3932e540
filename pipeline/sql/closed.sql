-- Establishes what is still open: interactions whose window reaches past the closed time or whose outcome is pending,
-- and activities that may still get an interaction. Input: the state, closed_through. Output: scope_interaction,
-- scope_activity.
CREATE OR REPLACE TEMP TABLE scope_interaction AS
SELECT
    interaction.* EXCLUDE (outcome),
    window_ends_at >= getvariable('closed_through') OR outcome = 'pending' AS is_open
FROM interaction;

CREATE OR REPLACE TEMP TABLE scope_activity AS
SELECT
    activity.*,
    logged_to + getvariable('before') >= getvariable('closed_through') AS is_open
FROM activity;
