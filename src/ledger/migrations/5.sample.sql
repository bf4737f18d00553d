-- What version 5 adds to the sample ledger. Made up.
INSERT INTO probe VALUES (zeroblob(16), 'unfit', 'http_404', 'the host answers 404: it is not there', NULL, 'public', 1700000000000);
