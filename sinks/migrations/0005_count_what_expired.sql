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
