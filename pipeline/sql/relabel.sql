-- Establishes the new name of conversations that turned out to be one.
-- Input: relabelled (old, new), labelled_key (key, conversation_id). Output: key_component, leg, mail_copy.
UPDATE key_component SET conversation_id = relabelled.new FROM relabelled WHERE conversation_id = relabelled.old;

INSERT INTO key_component SELECT * FROM labelled_key ANTI JOIN key_component USING (key);

UPDATE leg SET conversation_id = relabelled.new FROM relabelled WHERE conversation_id = relabelled.old;

UPDATE mail_copy SET conversation_id = relabelled.new FROM relabelled WHERE conversation_id = relabelled.old;
