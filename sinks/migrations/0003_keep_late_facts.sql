-- The live pipeline meets facts after their time was closed; they wait here for the next replay.
CREATE TABLE late_fact (raw_id VARCHAR, activity_id VARCHAR);
