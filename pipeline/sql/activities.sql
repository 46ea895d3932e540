-- Establishes for each CRM activity its customers, who of ours stands behind it, and whether it is tied to the CRM.
-- Input: stale_activity, activity_fact, contact_fact, account_fact, crm_user, token_row, representative_row.
-- Output: changed_activity (all that are worked out again), fresh_activity (those that live). Key: activity_id.
-- needs: stale_activity
CREATE OR REPLACE TEMP TABLE changed_activity AS SELECT DISTINCT activity_id FROM stale_activity;

-- needs: changed_activity
CREATE OR REPLACE TEMP TABLE scope_activity_fact AS
SELECT * FROM activity_fact SEMI JOIN changed_activity USING (activity_id);

-- needs: scope_activity_fact
CREATE OR REPLACE TEMP TABLE activity_person AS
WITH person AS (
    SELECT activity_id, logged_from, unnest(list_distinct([owner_id, creator_id])) AS person_id
    FROM scope_activity_fact
    WHERE NOT deleted
),
matched AS (
    SELECT person.activity_id, row.representative_id, row.team
    FROM person
    JOIN crm_user ON crm_user.user_id = person.person_id
    JOIN token_row AS row
        ON row.token = crm_user.email_token
        AND person.logged_from >= row.valid_from AND person.logged_from < row.valid_to
    UNION ALL
    SELECT person.activity_id, row.representative_id, row.team
    FROM person
    JOIN representative_row AS row
        ON row.id = person.person_id
        AND person.logged_from >= row.valid_from AND person.logged_from < row.valid_to
)
SELECT
    activity_id,
    coalesce(list_sort(list_distinct(list(representative_id))), []) AS representative_ids,
    coalesce(list_sort(list_distinct(list(team))), []) AS teams
FROM matched
GROUP BY activity_id;

-- needs: scope_activity_fact
CREATE OR REPLACE TEMP TABLE activity_customer AS
WITH tied AS (
    SELECT activity_id, unnest(contact_ids) AS contact_id, NULL AS account_id FROM scope_activity_fact WHERE NOT deleted
    UNION ALL
    SELECT activity_id, NULL, unnest(account_ids) FROM scope_activity_fact WHERE NOT deleted
)
SELECT
    tied.activity_id,
    list_sort(list_distinct(list(coalesce(tied.account_id, contact.account_id, tied.contact_id)))) AS customer_ids,
    bool_or(contact.contact_id IS NOT NULL
        OR tied.account_id IN (SELECT account_id FROM account_fact WHERE NOT deleted)
        OR tied.account_id IN (SELECT account_id FROM contact_fact WHERE NOT deleted AND account_id IS NOT NULL)
    ) AS is_known
FROM tied
LEFT JOIN contact_fact AS contact ON contact.contact_id = tied.contact_id AND NOT contact.deleted
GROUP BY tied.activity_id;

-- needs: scope_activity_fact
CREATE OR REPLACE TEMP TABLE fresh_activity AS
SELECT
    fact.activity_id, fact.kind, fact.logged_from, fact.logged_to,
    coalesce(list_distinct(fact.keys), []) AS keys,
    coalesce(fact.tokens, []) AS tokens,
    fact.kind <> 'ticket' OR coalesce(customer.is_known, false) AS is_tied,
    coalesce(customer.customer_ids, []) AS customer_ids,
    coalesce(person.representative_ids, []) AS representative_ids,
    coalesce(person.teams, []) AS teams,
    coalesce(customer.customer_ids[1], 'activity ' || fact.activity_id) AS node,
    false AS has_pair,
    NULL::VARCHAR AS status, NULL::VARCHAR AS tier, NULL::VARCHAR AS interaction_id
FROM scope_activity_fact AS fact
LEFT JOIN activity_customer AS customer ON customer.activity_id = fact.activity_id
LEFT JOIN activity_person AS person ON person.activity_id = fact.activity_id
WHERE NOT fact.deleted;
