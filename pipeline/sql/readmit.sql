-- The directory changed: every leg is attributed again.
INSERT INTO readmitted_leg BY NAME
SELECT
    raw_id, source, record_digest, channel, line, hint, started_at, answered_at, ended_at, talk_seconds, talk_basis,
    attempt, key, event_id, session_id, from_endpoint, from_token, from_domain, to_endpoint, to_token, to_domain,
    via_endpoint, automated, bulk, emergency, false AS is_new
FROM leg;

CREATE OR REPLACE TABLE leg AS SELECT * FROM leg LIMIT 0;
