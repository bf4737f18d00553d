-- Version 4: what a start asks for is found by index, however long the ledger is; rows that changed may be sent again.

-- Refusals of the last hour count against a budget of their own.
CREATE INDEX attempt_refused ON attempt (answered_at) WHERE state = 'refused';

-- Videos sent with another ledger are counted once, by their note.
CREATE INDEX expense_by_note ON expense (note) WHERE note IS NOT NULL;

-- A row came again with other content, and the user ordered it to be sent again.
INSERT INTO transition VALUES ('indexed', 'replace_ordered', 'pending');
