-- A ledger of version 1 with an item in every state, as its program left it. Made up.
INSERT INTO identity VALUES (1, 'https://service.example', X'0000000000000000', zeroblob(32), 1700000000000);
INSERT INTO run (id, name, command, started_at) VALUES (1, '20231114T221320Z-1', 'import', 1700000000000);
INSERT INTO manifest VALUES (1, '/archive/m.csv', '["url"]', '1:2:3');
INSERT INTO manifest_read VALUES (1, 1, 11, 11, 0, 0, 0, 0, 0, 1, 0);
WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 11)
INSERT INTO item (id, key, state, manifest, line, namespace, fingerprint, submission, cells, admitted_at)
SELECT n, CAST(printf('%016d', n) AS BLOB), 'pending', 1, n + 1, 'default', zeroblob(16),
       json_object('url', 'https://host/' || n || '.mp4', 'ns', 'default'), json_array('https://host/' || n || '.mp4'),
       1700000000000 FROM n;
INSERT INTO namespace VALUES ('default');
INSERT INTO state_count VALUES (1, 'pending', 11);
INSERT INTO last_seen SELECT id, 1, 1, line FROM item;
-- 1 stays pending; 2 to 11 were sent
INSERT INTO attempt (id, item, run, state, marker, sent_at, send_before, counts_until)
SELECT id, id, 1, 'sending', 'telecine:' || id, 1700000000000, 1700000005000, 1700000905000 FROM item WHERE id > 1;
UPDATE item SET attempt = id, state = 'sending' WHERE id > 1;
-- 2 is still in flight
UPDATE attempt SET state = 'in_doubt' WHERE id IN (3, 5);
UPDATE item SET state = 'in_doubt' WHERE id IN (3, 5);
UPDATE attempt SET state = 'accepted_unidentified' WHERE id = 4;
UPDATE item SET state = 'accepted_unidentified' WHERE id = 4;
UPDATE attempt SET state = 'needs_review' WHERE id IN (5, 10);
UPDATE item SET state = 'in_doubt' WHERE id = 10;
UPDATE item SET state = 'needs_review' WHERE id IN (5, 10);
UPDATE attempt SET state = 'accepted', video_no = 'VI000' || id, bound_by = 'reply', answered_at = 1700000001000
 WHERE id IN (6, 7, 8, 11);
UPDATE item SET state = 'accepted', poll_at = 1700000004000 WHERE id IN (6, 7, 8, 11);
UPDATE item SET state = 'indexed', poll_at = NULL, final_at = 1700000009000 WHERE id = 7;
UPDATE item SET state = 'failed', poll_at = NULL, final_at = 1700000009000, cause = 'codec' WHERE id = 8;
UPDATE attempt SET state = 'rejected', answered_at = 1700000001000 WHERE id = 9;
UPDATE item SET state = 'rejected', final_at = 1700000001000, cause = 'url is invalid' WHERE id = 9;
UPDATE attempt SET state = 'abandoned' WHERE id = 10;
UPDATE item SET state = 'abandoned', final_at = 1700000009000 WHERE id = 10;
INSERT INTO run (id, name, command, started_at) VALUES (2, '20231114T221400Z-2', 'undo', 1700000040000);
INSERT INTO deletion (video_no, item, attempt, namespace, run, ordered_at, who, why, listed)
VALUES ('VI00011', 11, 11, 'default', 2, 1700000040000, 'ann@desk', 'the wrong file', 1),
       ('VI000999', 7, NULL, 'default', 2, 1700000040000, 'ann@desk', 'paid twice', 1);
UPDATE deletion SET gone_at = 1700000050000 WHERE video_no = 'VI00011';
UPDATE item SET state = 'deleted', poll_at = NULL, final_at = 1700000050000 WHERE id = 11;
INSERT INTO question VALUES (5, 1700000100000, 'after a day it could still be VI000123', '["VI000123"]');
INSERT INTO answer (at, attempt, event, who, why) VALUES (1700000200000, 10, 'given_up', 'ann@desk', 'not needed');
UPDATE observed_delay SET acceptance_ms = 1000;
INSERT INTO external_usage (endpoint, run, at, count, note) VALUES ('upload', NULL, 1700000000000, 3, 'the web console');
INSERT INTO kv VALUES ('lessons', '{}', 1700000000000);
INSERT INTO external_usage (endpoint, run, at, count, note) VALUES ('upload', NULL, 1700000000001, 1, 'VI000009, sent with another ledger');
INSERT INTO probe VALUES (zeroblob(16), 'unsupported', 'http_404', 'the host answers 404: it does not exist', NULL, 'public', 1700000000000);
INSERT INTO handed_order (at, content) VALUES (1700000300000, '{"kind":"set_limits","limits":"{\"rate\":[\"2/s\"]}"}');
INSERT INTO bad_row VALUES (zeroblob(16), 1, 3, 'failed', 'codec', 1, 1700000009000, 1700000400000, 'ann@desk', 'known');
INSERT INTO callback VALUES (3, 'VI000003', 1700000500000, 1700000505000);
