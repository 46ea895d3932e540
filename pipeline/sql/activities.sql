-- Establishes for each CRM activity its customers, who of ours stands behind it, and whether it is tied to the CRM.
-- Input: changed_activity, contact_fact, account_fact, person_row, activity. Output: draft_activity (those that live);
-- known_activity (what was known of them before). Key: activity_id.
-- needs: contested, restated_activity
CREATE OR REPLACE TEMP TABLE known_activity AS
SELECT activity_id, node, tokens, is_tied
FROM activity
SEMI JOIN changed_activity USING (activity_id);

-- Tickets, and what is tied to several contacts or accounts.
-- needs: has_ticket, tied_to_several, restated_activity, contested
CREATE OR REPLACE TEMP TABLE activity_customer AS
WITH several AS (
    SELECT activity_id, contact_ids, account_ids
    FROM changed_activity
    WHERE NOT deleted AND (kind = 'ticket' OR len(contact_ids) > 1 OR len(account_ids) > 1)
),
tied AS (
    SELECT activity_id, unnest(contact_ids) AS contact_id, NULL AS account_id FROM several
    UNION ALL
    SELECT activity_id, NULL, unnest(account_ids) FROM several
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

-- needs: changed_activity
CREATE OR REPLACE TEMP TABLE draft_activity AS
WITH found AS (
    SELECT
        fact.activity_id, fact.kind, fact.logged_from, fact.logged_to,
        coalesce(list_distinct(fact.keys), []) AS keys,
        coalesce(fact.tokens, []) AS tokens,
        fact.kind <> 'ticket' OR coalesce(customer.is_known, false) AS is_tied,
        CASE WHEN customer.activity_id IS NOT NULL THEN customer.customer_ids
            WHEN len(contact_ids) = 0 THEN account_ids
            WHEN len(account_ids) = 0 THEN [coalesce(contact.account_id, contact_ids[1])]
            ELSE list_sort(list_distinct([coalesce(contact.account_id, contact_ids[1]), account_ids[1]]))
        END AS customer_ids,
        CASE WHEN creator.person_id IS NULL THEN owner.representative_ids
            WHEN owner.person_id IS NULL THEN creator.representative_ids
            ELSE list_sort(list_distinct(list_concat(owner.representative_ids, creator.representative_ids)))
        END AS representative_ids,
        CASE WHEN creator.person_id IS NULL THEN owner.teams
            WHEN owner.person_id IS NULL THEN creator.teams
            ELSE list_sort(list_distinct(list_concat(owner.teams, creator.teams)))
        END AS teams
    FROM changed_activity AS fact
    LEFT JOIN activity_customer AS customer ON customer.activity_id = fact.activity_id
    LEFT JOIN contact_fact AS contact ON contact.contact_id = fact.contact_ids[1] AND NOT contact.deleted
    LEFT JOIN person_row AS owner
        ON owner.person_id = fact.owner_id AND fact.logged_from >= owner.since AND fact.logged_from < owner.until
    LEFT JOIN person_row AS creator
        ON creator.person_id = fact.creator_id AND fact.creator_id IS DISTINCT FROM fact.owner_id
            AND fact.logged_from >= creator.since AND fact.logged_from < creator.until
    WHERE NOT fact.deleted
)
SELECT
    * REPLACE (coalesce(representative_ids, []) AS representative_ids, coalesce(teams, []) AS teams),
    coalesce(customer_ids[1], 'activity ' || activity_id) AS node,
    false AS has_pair
FROM found;
