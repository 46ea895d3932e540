-- Establishes the best pair of each activity of a crowd, which says what the activity is about when none is left for it.
-- Input: best_pair (a_no, i_no, cost), crowd_activity, crowd_interaction. Output: more rows in candidate.
-- needs: best_pair
INSERT INTO candidate
SELECT DISTINCT a_no, i_no, activity_id, i_key, cost
FROM best_pair
JOIN crowd_activity USING (a_no)
JOIN crowd_interaction USING (i_no);
