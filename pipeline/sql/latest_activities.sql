-- Establishes the version of each activity that counts: the latest.
-- Input: incoming_activity. Output: activity_fact, stale_activity (activities to work out again).
-- needs: incoming_activity
CREATE OR REPLACE TEMP TABLE contested AS
SELECT activity_id FROM incoming_activity GROUP BY activity_id HAVING count(*) > 1
UNION
SELECT activity_id FROM activity_fact SEMI JOIN incoming_activity USING (activity_id);

-- needs: incoming_activity
CREATE OR REPLACE TEMP TABLE latest_activity AS
SELECT * FROM incoming_activity ANTI JOIN contested USING (activity_id) ANTI JOIN late_fact USING (raw_id, activity_id);

-- needs: contested
INSERT INTO latest_activity BY NAME
SELECT DISTINCT ON (activity_id) *
FROM (
    SELECT * FROM incoming_activity SEMI JOIN contested USING (activity_id) ANTI JOIN late_fact USING (raw_id, activity_id)
    UNION ALL BY NAME
    SELECT * FROM activity_fact SEMI JOIN contested USING (activity_id)
)
ORDER BY activity_id, updated_at DESC NULLS LAST, raw_id DESC;

-- needs: latest_activity
CREATE OR REPLACE TEMP TABLE stale_activity AS
SELECT activity_id FROM latest_activity ANTI JOIN activity_fact USING (activity_id, raw_id);

-- needs: stale_activity
DELETE FROM activity_fact WHERE activity_id IN (SELECT activity_id FROM stale_activity);

-- needs: stale_activity
INSERT INTO activity_fact BY NAME
SELECT * REPLACE (
    coalesce(deleted, false) AS deleted, coalesce(logged_to, logged_from) AS logged_to,
    coalesce(contact_ids, []) AS contact_ids, coalesce(account_ids, []) AS account_ids
)
FROM latest_activity
SEMI JOIN stale_activity USING (activity_id);
