-- A ledger of version 1 with an item in every state, as its program left it. Made up.
INSERT INTO identity VALUES (1, 'https://service.example', X'0000000000000000', zeroblob(32), 1700000000000);
INSERT INTO run VALUES (1, '20231114T221320Z-1', 'import', 1700000000000, NULL, NULL, NULL);
INSERT INTO source VALUES (1, '/archive/m.csv', '["url"]', '1:2:3');
INSERT INTO reading VALUES (1, 1, 10, 10, 0, 0, 0, 0, 0, 1, 0);
WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 10)
INSERT INTO item (id, key, state, source, line, namespace, fingerprint, submission, cells, admitted_at)
SELECT n, CAST(printf('%016d', n) AS BLOB), 'pending', 1, n + 1, 'default', zeroblob(16),
       json_object('url', 'https://host/' || n || '.mp4', 'ns', 'default'), json_array('https://host/' || n || '.mp4'),
       1700000000000 FROM n;
INSERT INTO sighting SELECT id, 1, 1, line FROM item;
-- 1 stays pending; 2 to 10 were sent
INSERT INTO attempt (id, item, run, state, marker, sent_at, send_before, counts_until)
SELECT id, id, 1, 'sending', 'telecine:' || id, 1700000000000, 1700000005000, 1700000905000 FROM item WHERE id > 1;
UPDATE item SET attempt = id, state = 'sending' WHERE id > 1;
INSERT INTO event (at, item, attempt, event) SELECT 1700000000000, id, id, 'claimed' FROM item WHERE id > 1;
-- 2 is still on the wire
UPDATE attempt SET state = 'in_doubt' WHERE id IN (3, 5);
UPDATE item SET state = 'in_doubt' WHERE id IN (3, 5);
UPDATE attempt SET state = 'counted' WHERE id = 4;
UPDATE item SET state = 'counted' WHERE id = 4;
UPDATE attempt SET state = 'asked' WHERE id IN (5, 10);
UPDATE item SET state = 'in_doubt' WHERE id = 10;
UPDATE item SET state = 'asked' WHERE id IN (5, 10);
UPDATE attempt SET state = 'accepted', video_no = 'VI000' || id, bound_by = 'reply', answered_at = 1700000001000
 WHERE id IN (6, 7, 8);
UPDATE item SET state = 'accepted', look_at = 1700000004000 WHERE id IN (6, 7, 8);
UPDATE item SET state = 'indexed', look_at = NULL, final_at = 1700000009000 WHERE id = 7;
UPDATE item SET state = 'failed', look_at = NULL, final_at = 1700000009000, cause = 'codec' WHERE id = 8;
UPDATE attempt SET state = 'rejected', answered_at = 1700000001000 WHERE id = 9;
UPDATE item SET state = 'rejected', final_at = 1700000001000, cause = 'url is invalid' WHERE id = 9;
UPDATE attempt SET state = 'abandoned' WHERE id = 10;
UPDATE item SET state = 'abandoned', final_at = 1700000009000 WHERE id = 10;
