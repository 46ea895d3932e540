-- Erasing people leaves digests of the rows that were theirs, so that a log cannot bring them back.
CREATE TABLE erased_row (digest UBIGINT NOT NULL);
