-- State of one engine: the open facts and what was said of them. Instants are UTC.
-- Who is who, see pipeline/whoswho.py. A device that is ours and that the directory does not know has no group.
CREATE TABLE endpoint_row (
    endpoint VARCHAR, valid_from TIMESTAMP, valid_to TIMESTAMP,
    representative_id VARCHAR, team VARCHAR, function VARCHAR, group_no INTEGER
);
CREATE TABLE token_row (
    token VARCHAR, valid_from TIMESTAMP, valid_to TIMESTAMP,
    representative_id VARCHAR, team VARCHAR, function VARCHAR, group_no INTEGER
);
CREATE TABLE representative_row (
    id VARCHAR, valid_from TIMESTAMP, valid_to TIMESTAMP,
    representative_id VARCHAR, team VARCHAR, function VARCHAR, group_no INTEGER
);
-- Teams with their functions, numbered; numbers never change.
CREATE TABLE group_row (group_no INTEGER, team VARCHAR, function VARCHAR);
CREATE TABLE directory_entry (
    representative_id VARCHAR, name VARCHAR, team VARCHAR, function VARCHAR, extension VARCHAR, email_token VARCHAR,
    direct_token VARCHAR, mobile_token VARCHAR, valid_from TIMESTAMP, valid_to TIMESTAMP
);

-- One row per observation that is not an email; key raw_id.
CREATE TABLE leg (
    raw_id VARCHAR, source VARCHAR, record_digest UBIGINT, channel VARCHAR, line VARCHAR, hint VARCHAR,
    started_at TIMESTAMP, answered_at TIMESTAMP, ended_at TIMESTAMP, talk_seconds DOUBLE, talk_basis TINYINT,
    attempt VARCHAR, key VARCHAR, event_id VARCHAR, session_id VARCHAR,
    from_endpoint VARCHAR, from_token VARCHAR, from_domain VARCHAR,
    to_endpoint VARCHAR, to_token VARCHAR, to_domain VARCHAR, via_endpoint VARCHAR,
    automated BOOLEAN, bulk BOOLEAN, emergency BOOLEAN,
    conversation_id VARCHAR, is_internal BOOLEAN, direction VARCHAR, token VARCHAR, domain VARCHAR,
    representative_id VARCHAR, label VARCHAR, group_no INTEGER, is_repeat BOOLEAN
);

-- One row per mailbox copy of an email; key raw_id.
CREATE TABLE mail_copy (
    raw_id VARCHAR, source VARCHAR, record_digest UBIGINT, started_at TIMESTAMP, key VARCHAR,
    event_id VARCHAR, session_id VARCHAR, from_token VARCHAR, from_domain VARCHAR,
    parties STRUCT(role VARCHAR, token VARCHAR, "domain" VARCHAR)[],
    automated BOOLEAN, bulk BOOLEAN,
    conversation_id VARCHAR, is_repeat BOOLEAN
);

-- The smallest key of each set of keys that stand for one conversation; keys that stand alone are not listed.
CREATE TABLE key_component (key VARCHAR, conversation_id VARCHAR);

-- One row per conversation and external party; key (conversation_id, token).
CREATE TABLE conversation (
    conversation_id VARCHAR, token VARCHAR, domain VARCHAR, party_count INTEGER,
    channel VARCHAR, source VARCHAR, sources VARCHAR[], line VARCHAR, direction VARCHAR,
    started_at TIMESTAMP, ended_at TIMESTAMP, talk_started_at TIMESTAMP, talk_seconds DOUBLE,
    representative_id VARCHAR, participants VARCHAR[], team VARCHAR, function VARCHAR,
    exclusion VARCHAR, root_id VARCHAR, evidence_id VARCHAR
);

-- Sources that ever told of a call: with one alone, no call can be seen twice.
CREATE TABLE call_source (source VARCHAR);

-- One row per interaction; key interaction_id.
CREATE TABLE interaction (
    interaction_id VARCHAR, evidence_id VARCHAR, company_id VARCHAR, channel VARCHAR, line VARCHAR,
    direction VARCHAR, started_at TIMESTAMP, ended_at TIMESTAMP, talk_seconds DOUBLE,
    representative_id VARCHAR, participants VARCHAR[], team VARCHAR, function VARCHAR, sources VARCHAR[],
    token VARCHAR, domain VARCHAR, customer_ids VARCHAR[], contact_id VARCHAR, segment VARCHAR,
    outcome VARCHAR, reason VARCHAR, tier VARCHAR, activity_id VARCHAR, ticket_id VARCHAR,
    trace_delay_seconds DOUBLE, window_ends_at TIMESTAMP, party_count INTEGER, node VARCHAR
);

-- Whom an id that the CRM names as owner or creator stands for; disjoint in time for each person_id.
CREATE TABLE person_row (
    person_id VARCHAR, since TIMESTAMP, until TIMESTAMP, representative_ids VARCHAR[], teams VARCHAR[]
);

-- Latest versions, deleted ones included so that an older version can never come back.
CREATE TABLE contact_fact (
    raw_id VARCHAR, source VARCHAR, contact_id VARCHAR, account_id VARCHAR, tokens VARCHAR[],
    updated_at TIMESTAMP, deleted BOOLEAN
);
CREATE TABLE account_fact (
    raw_id VARCHAR, source VARCHAR, account_id VARCHAR, tokens VARCHAR[], domains VARCHAR[], segment VARCHAR,
    updated_at TIMESTAMP, deleted BOOLEAN
);
CREATE TABLE crm_user (user_id VARCHAR, email_token VARCHAR);
CREATE TABLE activity_fact (
    raw_id VARCHAR, source VARCHAR, activity_id VARCHAR, kind VARCHAR, logged_from TIMESTAMP, logged_to TIMESTAMP,
    precision VARCHAR, owner_id VARCHAR, creator_id VARCHAR, contact_ids VARCHAR[], account_ids VARCHAR[],
    keys VARCHAR[], tokens VARCHAR[], direction VARCHAR, updated_at TIMESTAMP, deleted BOOLEAN
);
CREATE TABLE feed_progress (source VARCHAR, complete_through TIMESTAMP);

-- Customers of each token and domain.
CREATE TABLE token_customer (token VARCHAR, customer_ids VARCHAR[], contact_id VARCHAR);
CREATE TABLE domain_customer (domain VARCHAR, customer_ids VARCHAR[]);

-- One row per CRM activity that lives; key activity_id.
CREATE TABLE activity (
    activity_id VARCHAR, kind VARCHAR, logged_from TIMESTAMP, logged_to TIMESTAMP, keys VARCHAR[], tokens VARCHAR[],
    is_tied BOOLEAN, customer_ids VARCHAR[], representative_ids VARCHAR[], teams VARCHAR[], node VARCHAR,
    has_pair BOOLEAN, status VARCHAR, tier VARCHAR, interaction_id VARCHAR
);
CREATE TABLE activity_key (key VARCHAR, activity_id VARCHAR);

-- Which activity carries a key of which evidence.
CREATE TABLE exact_pair (evidence_id VARCHAR, activity_id VARCHAR);

-- Two nodes whose matches depend on each other: customers of one element, or the ends of an exact pair. The node of
-- an interaction or activity is its first customer, or itself where it has none.
CREATE TABLE node_edge (a VARCHAR, b VARCHAR, interaction_id VARCHAR, activity_id VARCHAR);

-- Facts of this fold that came after their time was closed.
CREATE TABLE late_fact (raw_id VARCHAR, activity_id VARCHAR);

-- What of a fold is closed when it ends, see close.sql; empty at any other time.
CREATE TEMP TABLE closed_evidence (evidence_id VARCHAR);
CREATE TEMP TABLE closed_conversation (conversation_id VARCHAR);
CREATE TEMP TABLE closed_activity (a_no BIGINT);
