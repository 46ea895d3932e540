-- Establishes which facts came after their time was closed. An activity that carries keys is never late: an exact
-- trace has no time limit. Input: incoming_observation, incoming_activity, closed_through. Output: late_fact.
INSERT INTO late_fact
SELECT raw_id, NULL FROM incoming_observation
ANTI JOIN leg USING (raw_id)
ANTI JOIN mail_copy USING (raw_id)
WHERE started_at < getvariable('closed_through')
UNION
SELECT raw_id, activity_id FROM incoming_activity
ANTI JOIN activity_fact USING (activity_id)
WHERE coalesce(logged_to, logged_from) < getvariable('closed_through') AND coalesce(len(keys), 0) = 0;
