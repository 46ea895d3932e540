-- Establishes how far every CRM feed has been read. Input: incoming_feed_progress. Output: feed_progress.
CREATE OR REPLACE TABLE feed_progress AS
SELECT source, max(complete_through) AS complete_through
FROM (SELECT * FROM feed_progress UNION ALL BY NAME SELECT * FROM incoming_feed_progress)
GROUP BY source;
