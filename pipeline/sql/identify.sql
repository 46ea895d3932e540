-- Establishes the interactions that are new or other than before, and with whom they were: the customers that hold the
-- identifier in the CRM, or, for an address nobody holds, the accounts of its domain; and what is none any more.
-- Input: scope_conversation_row, token_customer, domain_customer, account_fact, interaction,
-- changed_token, changed_domain, changed_account. Output: draft_interaction, gone_interaction. Key: interaction_id.
-- needs: changed_token, changed_domain, changed_account
CREATE OR REPLACE TEMP TABLE stale_interaction AS
SELECT *
FROM interaction
WHERE evidence_id NOT IN (SELECT evidence_id FROM touched_evidence)
    AND (token IN (SELECT token FROM changed_token)
        OR domain IN (SELECT domain FROM changed_domain)
        OR customer_ids[1] IN (SELECT account_id FROM changed_account));

-- needs: scope_conversation_row, stale_interaction
CREATE OR REPLACE TEMP TABLE draft_interaction AS
WITH composed AS (
    SELECT
        CASE WHEN channel = 'email' THEN substr(md5(evidence_id || '|' || coalesce(token, '')), 1, 16)
            ELSE evidence_id END AS interaction_id,
        evidence_id, channel, line, direction, started_at, ended_at, talk_seconds, representative_id, participants,
        team, function, sources, token, domain, party_count
    FROM scope_conversation_row
    WHERE exclusion IS NULL AND root_id = conversation_id
    UNION ALL BY NAME
    SELECT
        interaction_id, evidence_id, channel, line, direction, started_at, ended_at, talk_seconds, representative_id,
        participants, team, function, sources, token, domain, party_count
    FROM stale_interaction
),
identified AS (
    SELECT
        composed.*,
        coalesce(holder.customer_ids, domain_holder.customer_ids, []) AS customer_ids,
        holder.contact_id
    FROM composed
    LEFT JOIN token_customer AS holder ON holder.token = composed.token
    LEFT JOIN domain_customer AS domain_holder ON holder.token IS NULL AND domain_holder.domain = composed.domain
)
SELECT
    identified.*,
    account.segment,
    coalesce(customer_ids[1], 'interaction ' || interaction_id) AS node
FROM identified
LEFT JOIN (SELECT account_id, segment FROM account_fact WHERE NOT deleted AND segment IS NOT NULL) AS account
    ON account.account_id = customer_ids[1];

-- needs: touched_evidence
CREATE OR REPLACE TEMP TABLE gone_interaction AS
SELECT interaction_id, node, participants, customer_ids
FROM interaction
SEMI JOIN touched_evidence USING (evidence_id)
ANTI JOIN draft_interaction USING (interaction_id);
