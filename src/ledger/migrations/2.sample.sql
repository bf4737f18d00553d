-- What version 2 adds to the sample ledger of version 1. Made up.
INSERT INTO question VALUES (5, 1700000100000, 'after a day it could still be VI000123', '["VI000123"]');
INSERT INTO answer (at, attempt, event, who, why) VALUES (1700000200000, 10, 'given_up', 'ann@desk', 'not needed');
UPDATE observed SET acceptance_ms = 1000;
