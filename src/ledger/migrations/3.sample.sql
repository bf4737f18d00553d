-- What version 3 adds to the sample ledger. Made up.
INSERT INTO expense (lane, run, at, count, note) VALUES ('upload', NULL, 1700000000000, 3, 'the web console');
INSERT INTO memo VALUES ('lessons', '{}', 1700000000000);
