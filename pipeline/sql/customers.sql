-- Establishes whom each token and domain belongs to.
-- Input: incoming_contact, incoming_account. Output: contact_fact, account_fact, token_customer, domain_customer, and
-- what changed: changed_contact, changed_account, changed_token, changed_domain.
-- needs: incoming_contact
CREATE OR REPLACE TEMP TABLE contested_contact AS
SELECT contact_id FROM incoming_contact GROUP BY contact_id HAVING count(*) > 1
UNION
SELECT contact_id FROM contact_fact SEMI JOIN incoming_contact USING (contact_id);

-- needs: incoming_contact
CREATE OR REPLACE TEMP TABLE latest_contact AS
SELECT * FROM incoming_contact ANTI JOIN contested_contact USING (contact_id);

-- needs: contested_contact
INSERT INTO latest_contact BY NAME
SELECT DISTINCT ON (contact_id) *
FROM (
    SELECT * FROM incoming_contact SEMI JOIN contested_contact USING (contact_id)
    UNION ALL BY NAME
    SELECT * FROM contact_fact SEMI JOIN contested_contact USING (contact_id)
)
ORDER BY contact_id, updated_at DESC NULLS LAST, raw_id DESC;

-- needs: incoming_account
CREATE OR REPLACE TEMP TABLE latest_account AS
SELECT DISTINCT ON (account_id) *
FROM (
    SELECT * FROM incoming_account
    UNION ALL BY NAME
    SELECT * FROM account_fact SEMI JOIN incoming_account USING (account_id)
)
ORDER BY account_id, updated_at DESC NULLS LAST, raw_id DESC;

-- needs: latest_contact
CREATE OR REPLACE TEMP TABLE changed_contact AS
SELECT contact_id FROM latest_contact ANTI JOIN contact_fact USING (contact_id, raw_id);

-- needs: latest_account
CREATE OR REPLACE TEMP TABLE changed_account AS
SELECT account_id FROM latest_account ANTI JOIN account_fact USING (account_id, raw_id);

-- needs: changed_contact, changed_account
CREATE OR REPLACE TEMP TABLE changed_token AS
SELECT DISTINCT unnest(tokens) AS token
FROM (
    SELECT tokens FROM contact_fact SEMI JOIN changed_contact USING (contact_id)
    UNION ALL SELECT tokens FROM latest_contact SEMI JOIN changed_contact USING (contact_id)
    UNION ALL SELECT tokens FROM account_fact SEMI JOIN changed_account USING (account_id)
    UNION ALL SELECT tokens FROM latest_account SEMI JOIN changed_account USING (account_id)
);

-- needs: changed_account
CREATE OR REPLACE TEMP TABLE changed_domain AS
SELECT DISTINCT unnest(domains) AS domain
FROM (
    SELECT domains FROM account_fact SEMI JOIN changed_account USING (account_id)
    UNION ALL SELECT domains FROM latest_account SEMI JOIN changed_account USING (account_id)
);

-- needs: changed_contact
DELETE FROM contact_fact WHERE contact_id IN (SELECT contact_id FROM changed_contact);

-- needs: changed_contact
INSERT INTO contact_fact BY NAME
SELECT * REPLACE (coalesce(deleted, false) AS deleted) FROM latest_contact SEMI JOIN changed_contact USING (contact_id);

-- needs: changed_account
DELETE FROM account_fact WHERE account_id IN (SELECT account_id FROM changed_account);

-- needs: changed_account
INSERT INTO account_fact BY NAME
SELECT * REPLACE (coalesce(deleted, false) AS deleted) FROM latest_account SEMI JOIN changed_account USING (account_id);

-- needs: changed_token
DELETE FROM token_customer WHERE token IN (SELECT token FROM changed_token);

-- needs: changed_token
INSERT INTO token_customer
WITH holder AS (
    SELECT unnest(tokens) AS token, coalesce(account_id, contact_id) AS customer_id, contact_id
    FROM contact_fact
    WHERE NOT deleted
    UNION ALL
    SELECT unnest(tokens), account_id, NULL FROM account_fact WHERE NOT deleted
)
SELECT
    token,
    list_sort(list(DISTINCT customer_id)),
    CASE WHEN min(contact_id) = max(contact_id) THEN max(contact_id) END
FROM holder
SEMI JOIN changed_token USING (token)
GROUP BY token;

-- needs: changed_domain
DELETE FROM domain_customer WHERE domain IN (SELECT domain FROM changed_domain);

-- needs: changed_domain
INSERT INTO domain_customer
SELECT domain, list_sort(list_distinct(list(account_id)))
FROM (SELECT unnest(domains) AS domain, account_id FROM account_fact WHERE NOT deleted) AS holder
SEMI JOIN changed_domain USING (domain)
GROUP BY domain;
