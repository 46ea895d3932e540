-- Establishes whom each id that the CRM names as owner or creator stands for, at each instant.
-- Input: crm_user, token_row, representative_row. Output: person_row; disjoint in time for each person_id.
DELETE FROM person_row;

INSERT INTO person_row
WITH known AS (
    SELECT user_id AS person_id, valid_from, valid_to, representative_id, team
    FROM crm_user
    JOIN token_row ON token_row.token = crm_user.email_token
    UNION ALL
    SELECT id, valid_from, valid_to, representative_id, team FROM representative_row
),
edge AS (
    SELECT person_id, valid_from AS instant FROM known
    UNION
    SELECT person_id, valid_to FROM known
),
span AS (
    SELECT person_id, instant AS since, lead(instant) OVER (PARTITION BY person_id ORDER BY instant) AS until
    FROM edge
)
SELECT
    span.person_id, since, until,
    coalesce(list_sort(list(DISTINCT representative_id) FILTER (WHERE representative_id IS NOT NULL)), []),
    coalesce(list_sort(list(DISTINCT team) FILTER (WHERE team IS NOT NULL)), [])
FROM span
JOIN known ON known.person_id = span.person_id AND known.valid_from <= since AND known.valid_to >= until
GROUP BY span.person_id, since, until;
