-- Establishes the trace of each interaction. Input: taken (pairs that the greedy assignment took), candidate.
-- Output: assigned. Keys: a_no; i_no.
-- needs: taken
CREATE OR REPLACE TEMP TABLE assigned AS
SELECT
    taken.a_no,
    taken.i_no,
    ['exact', 'same_representative', 'other_representative', 'inferred'][min(candidate.cost) >> 60] AS tier
FROM taken
JOIN candidate ON candidate.a_no = taken.a_no AND candidate.i_no = taken.i_no
GROUP BY taken.a_no, taken.i_no;
