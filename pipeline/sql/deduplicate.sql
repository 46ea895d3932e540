-- Establishes the set of evidence that each conversation belongs to.
-- Input: scope_conversation_row, merged (conversation_id, root_id), previous_conversation, scope_conversation.
-- Output: scope_conversation_row (grown by calls that merge with those in question), previous_conversation (likewise),
-- touched_evidence (evidence said before), conversation; scope_leg grows by the legs of calls that changed sides.
-- needs: merged
CREATE OR REPLACE TEMP TABLE mate AS
SELECT conversation.*
FROM conversation
SEMI JOIN merged USING (conversation_id)
ANTI JOIN scope_conversation USING (conversation_id);

-- needs: mate
INSERT INTO scope_conversation_row BY NAME SELECT * FROM mate;

-- needs: mate
INSERT INTO previous_conversation BY NAME SELECT * FROM mate;

-- needs: merged
UPDATE scope_conversation_row SET
    root_id = merged.root_id,
    evidence_id = substr(md5(getvariable('company_id') || '|call|' || merged.root_id), 1, 16)
FROM merged
WHERE merged.conversation_id = scope_conversation_row.conversation_id;

-- needs: mate
INSERT INTO scope_leg BY NAME
SELECT *, false AS is_new, is_repeat AS was_repeat
FROM leg
SEMI JOIN (
    SELECT conversation_id FROM mate
    JOIN scope_conversation_row AS now USING (conversation_id)
    WHERE now.evidence_id <> mate.evidence_id
) AS moved USING (conversation_id);

-- needs: previous_conversation
CREATE OR REPLACE TEMP TABLE touched_evidence AS
SELECT DISTINCT evidence_id FROM previous_conversation;

-- needs: previous_conversation
DELETE FROM conversation WHERE conversation_id IN (SELECT conversation_id FROM previous_conversation);

-- needs: scope_conversation_row
INSERT INTO conversation BY NAME SELECT * FROM scope_conversation_row;
