-- The store's tables, version 5. Analysts read the views of views.sql; these tables may change with a migration.
--
-- Compression is named where DuckDB's own choice is slow to find: zstd for texts that hardly repeat or are null mostly,
-- none for short random ones and for lists of ids. No table has a key or an index: both make DuckDB look at the whole
-- table for each batch.

CREATE TABLE schema_version (version INTEGER NOT NULL, name VARCHAR NOT NULL);
INSERT INTO schema_version VALUES (5, 'schema');

-- Bookkeeping ---------------------------------------------------------------------------------------------------------

CREATE TABLE run (
    run_number INTEGER NOT NULL,
    started_at TIMESTAMP NOT NULL,
    finished_at TIMESTAMP NOT NULL,
    bypassflow_version VARCHAR NOT NULL,
    configuration_digest VARCHAR NOT NULL,
    key_digest VARCHAR NOT NULL,
    company_id VARCHAR NOT NULL,
    timezone VARCHAR NOT NULL,
    complete_through TIMESTAMP,
    settings VARCHAR NOT NULL
);

CREATE TABLE source_file (
    file_number INTEGER NOT NULL,
    source VARCHAR NOT NULL,
    file VARCHAR NOT NULL,
    format VARCHAR NOT NULL,
    byte_count BIGINT NOT NULL,
    carries_raw_events BOOLEAN NOT NULL,
    has_own_ids BOOLEAN NOT NULL, -- some raw_id is the sender's event id and does not begin with the source's name
    record_count BIGINT NOT NULL,
    observation_count BIGINT NOT NULL,
    crm_record_count BIGINT NOT NULL,
    contact_count BIGINT NOT NULL,
    account_count BIGINT NOT NULL,
    crm_user_count BIGINT NOT NULL,
    activity_count BIGINT NOT NULL,
    directory_entry_count BIGINT NOT NULL,
    rejected_event_count BIGINT NOT NULL,
    rejected_record_count BIGINT NOT NULL,
    first_at TIMESTAMP,
    last_at TIMESTAMP
);

CREATE TABLE dead_letter (
    file_number INTEGER NOT NULL,
    raw_id VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    file VARCHAR NOT NULL,
    position BIGINT NOT NULL,
    unit VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    raw_text VARCHAR NOT NULL,
    is_raw_event BOOLEAN NOT NULL
);

-- How far each reader of a stream has come; written in the transaction that writes what was read.
CREATE TABLE position (name VARCHAR NOT NULL, value VARCHAR NOT NULL);

-- Facts: the log from which every result can be folded again. Columns as in schemas/facts.py -------------------------

-- The view observation tells what is left out here.
CREATE TABLE observation_base (
    file_number INTEGER NOT NULL,
    raw_id VARCHAR USING COMPRESSION zstd,
    source VARCHAR,
    record_digest UBIGINT,
    channel ENUM ('call', 'email', 'sms', 'chat', 'social', 'fax'),
    line ENUM ('contact_center', 'pbx', 'mobile'),
    direction ENUM ('inbound', 'outbound', 'internal'),
    started_at TIMESTAMP,
    answered_at TIMESTAMP,
    ended_at TIMESTAMP,
    talk_seconds DOUBLE,
    talk_basis TINYINT,
    attempt ENUM ('talk', 'unanswered', 'no_human'),
    key VARCHAR USING COMPRESSION zstd, -- null: source:session_id, or source:event_id; empty: none
    other_keys VARCHAR[],
    event_id VARCHAR USING COMPRESSION zstd, -- null: the session_id; empty: none
    session_id VARCHAR USING COMPRESSION zstd,
    from_endpoint VARCHAR,
    from_token VARCHAR USING COMPRESSION uncompressed,
    from_domain VARCHAR USING COMPRESSION zstd,
    to_endpoint VARCHAR,
    to_token VARCHAR USING COMPRESSION uncompressed,
    to_domain VARCHAR USING COMPRESSION zstd,
    via_endpoint VARCHAR USING COMPRESSION zstd,
    parties STRUCT (role VARCHAR, token VARCHAR, domain VARCHAR)[],
    automated BOOLEAN,
    bulk BOOLEAN,
    emergency BOOLEAN
);

CREATE TABLE directory_entry (
    file_number INTEGER NOT NULL,
    representative_id VARCHAR,
    name VARCHAR,
    team VARCHAR,
    function VARCHAR,
    extension VARCHAR,
    email_token VARCHAR,
    direct_token VARCHAR,
    mobile_token VARCHAR,
    valid_from TIMESTAMP,
    valid_to TIMESTAMP
);

CREATE TABLE contact (
    file_number INTEGER NOT NULL,
    raw_id VARCHAR USING COMPRESSION zstd,
    source VARCHAR,
    contact_id VARCHAR USING COMPRESSION zstd,
    account_id VARCHAR USING COMPRESSION zstd,
    tokens VARCHAR[],
    updated_at TIMESTAMP,
    deleted BOOLEAN
);

CREATE TABLE account (
    file_number INTEGER NOT NULL,
    raw_id VARCHAR USING COMPRESSION zstd,
    source VARCHAR,
    account_id VARCHAR USING COMPRESSION zstd,
    tokens VARCHAR[],
    domains VARCHAR[],
    segment VARCHAR,
    updated_at TIMESTAMP,
    deleted BOOLEAN
);

CREATE TABLE crm_user (
    file_number INTEGER NOT NULL,
    raw_id VARCHAR,
    source VARCHAR,
    user_id VARCHAR,
    email_token VARCHAR
);

CREATE TABLE activity (
    file_number INTEGER NOT NULL,
    raw_id VARCHAR USING COMPRESSION zstd,
    source VARCHAR,
    activity_id VARCHAR USING COMPRESSION uncompressed,
    kind VARCHAR,
    logged_from TIMESTAMP,
    logged_to TIMESTAMP,
    precision VARCHAR,
    owner_id VARCHAR,
    creator_id VARCHAR,
    contact_ids VARCHAR[] USING COMPRESSION uncompressed,
    account_ids VARCHAR[],
    keys VARCHAR[],
    tokens VARCHAR[],
    direction VARCHAR USING COMPRESSION zstd,
    updated_at TIMESTAMP,
    deleted BOOLEAN
);

CREATE TABLE feed_progress (
    file_number INTEGER NOT NULL,
    source VARCHAR,
    complete_through TIMESTAMP
);

-- Facts above that the live engine met after their time was closed: the next replay folds them. Without activity_id: an
-- observation. A row counts only as long as nothing is said of its fact.
CREATE TABLE late_fact (raw_id VARCHAR, activity_id VARCHAR);

-- Digests of the ids that rows had before the people in them were forgotten: what a log brings of them is not taken in.
CREATE TABLE erased_row (digest UBIGINT NOT NULL);

-- What left by retention, counted: the accounts of its files still add up.
CREATE TABLE expired_event (
    file_number INTEGER NOT NULL,
    source VARCHAR NOT NULL,
    disposition VARCHAR NOT NULL,
    reason VARCHAR,
    raw_count BIGINT NOT NULL
);
CREATE TABLE expired_interaction (
    month DATE NOT NULL,
    channel VARCHAR NOT NULL,
    outcome VARCHAR NOT NULL,
    interaction_count BIGINT NOT NULL
);

-- Not tied to files: a token that several files hold is told once.
CREATE TABLE identifier (token VARCHAR USING COMPRESSION uncompressed, kind VARCHAR, display VARCHAR);

-- Results. What is new goes to *_delta and is merged into *_base when there is much of it; the newest version of a key
-- counts, in the views and in the merge. *_retracted remembers versions of what is gone, so that older news of it lose.

CREATE TABLE merged_version (name VARCHAR NOT NULL, version BIGINT NOT NULL); -- the greatest version in a *_base
INSERT INTO merged_version VALUES ('interaction', -1), ('disposition', -1), ('activity_outcome', -1);

CREATE TABLE interaction_base (
    interaction_id VARCHAR USING COMPRESSION uncompressed,
    evidence_id VARCHAR USING COMPRESSION uncompressed, -- null: the same as interaction_id
    company_id VARCHAR,
    channel ENUM ('call', 'email', 'sms', 'chat', 'social', 'fax'),
    line ENUM ('contact_center', 'pbx', 'mobile'),
    direction ENUM ('inbound', 'outbound', 'internal'),
    started_at TIMESTAMP,
    ended_at TIMESTAMP,
    talk_seconds DOUBLE,
    representative_id VARCHAR,
    participants VARCHAR[],
    team VARCHAR,
    function VARCHAR,
    sources VARCHAR, -- names joined by +, in the order of their rank
    token VARCHAR USING COMPRESSION uncompressed,
    customer_ids VARCHAR[],
    contact_id VARCHAR,
    segment VARCHAR,
    outcome ENUM ('traced', 'siloed', 'bypassed', 'pending'),
    reason ENUM ('not_logged', 'unknown_customer', 'withheld'),
    tier ENUM ('exact', 'same_representative', 'other_representative', 'inferred'),
    activity_id VARCHAR USING COMPRESSION zstd,
    ticket_id VARCHAR USING COMPRESSION zstd,
    trace_delay_seconds DOUBLE,
    window_ends_at TIMESTAMP,
    version BIGINT
);

CREATE TABLE disposition_base (
    raw_id VARCHAR USING COMPRESSION zstd,
    disposition ENUM ('interaction', 'duplicate', 'excluded'),
    reason ENUM (
        'internal', 'automated', 'bulk', 'emergency', 'never_log', 'unanswered', 'no_human', 'too_short'
    ),
    evidence_id VARCHAR USING COMPRESSION uncompressed,
    version BIGINT
);

CREATE TABLE activity_outcome_base (
    activity_id VARCHAR USING COMPRESSION uncompressed,
    status ENUM ('trace', 'redundant', 'unexplained', 'siloed'),
    tier ENUM ('exact', 'same_representative', 'other_representative', 'inferred'),
    interaction_id VARCHAR USING COMPRESSION uncompressed,
    customer_ids VARCHAR[] USING COMPRESSION uncompressed,
    representative_ids VARCHAR[],
    version BIGINT
);

CREATE TABLE interaction_delta AS SELECT *, false AS is_retracted FROM interaction_base LIMIT 0;
CREATE TABLE disposition_delta AS SELECT *, false AS is_retracted FROM disposition_base LIMIT 0;
CREATE TABLE activity_outcome_delta AS SELECT *, false AS is_retracted FROM activity_outcome_base LIMIT 0;

CREATE TABLE interaction_retracted (interaction_id VARCHAR, version BIGINT);
CREATE TABLE disposition_retracted (raw_id VARCHAR, version BIGINT);
CREATE TABLE activity_outcome_retracted (activity_id VARCHAR, version BIGINT);
