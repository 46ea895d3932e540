-- Establishes the version of each activity that counts: the latest.
-- Input: incoming_activity. Output: activity_fact, changed_activity (facts of activities to work out again). Key:
-- activity_id.
-- needs: incoming_activity
CREATE OR REPLACE TEMP TABLE contested AS
SELECT activity_id FROM incoming_activity GROUP BY activity_id HAVING count(*) > 1
UNION
SELECT activity_id FROM activity_fact SEMI JOIN incoming_activity USING (activity_id);

-- needs: incoming_activity
CREATE OR REPLACE TEMP TABLE changed_activity AS
SELECT
    * REPLACE (
        coalesce(deleted, false) AS deleted, coalesce(logged_to, logged_from) AS logged_to,
        coalesce(contact_ids, []) AS contact_ids, coalesce(account_ids, []) AS account_ids
    )
FROM incoming_activity
ANTI JOIN contested USING (activity_id)
ANTI JOIN late_fact USING (raw_id, activity_id);

-- needs: contested
INSERT INTO changed_activity BY NAME
WITH version AS (
    SELECT
        * REPLACE (
            coalesce(deleted, false) AS deleted, coalesce(logged_to, logged_from) AS logged_to,
            coalesce(contact_ids, []) AS contact_ids, coalesce(account_ids, []) AS account_ids
        )
    FROM incoming_activity
    SEMI JOIN contested USING (activity_id)
    ANTI JOIN late_fact USING (raw_id, activity_id)
    UNION ALL BY NAME
    SELECT * FROM activity_fact SEMI JOIN contested USING (activity_id)
),
latest AS (
    SELECT DISTINCT ON (activity_id) *
    FROM version
    ORDER BY activity_id, updated_at DESC NULLS LAST, raw_id DESC
)
SELECT * FROM latest ANTI JOIN activity_fact USING (activity_id, raw_id);

-- needs: contested
DELETE FROM activity_fact WHERE activity_id IN (SELECT activity_id FROM changed_activity);

-- needs: changed_activity
INSERT INTO activity_fact BY NAME SELECT * FROM changed_activity;
