-- What version 4 adds to the sample ledger. Made up.
INSERT INTO expense (lane, run, at, count, note) VALUES ('upload', NULL, 1700000000001, 1, 'VI000009, sent with another ledger');
