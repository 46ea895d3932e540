-- Null now stands for an event id that is the session id, and for a key that is made of it; empty for none.
ALTER TABLE observation RENAME TO observation_base;
UPDATE observation_base SET event_id = '' WHERE event_id IS NULL AND session_id IS NOT NULL;
UPDATE observation_base SET key = '' WHERE key IS NULL AND coalesce(session_id, event_id) IS NOT NULL;
