-- Version 2: what was published where, and by which line of this database's history.

-- A mark for each time the database was opened and then changed, with the first change_id of that time; the first is
-- the database's own identity. Copies that go on apart, such as a restored backup, share the marks up to there only.
CREATE TABLE _lineage (
  mark TEXT NOT NULL,
  change_id INTEGER NOT NULL,
  PRIMARY KEY (mark)
);
CREATE INDEX lineage_change ON _lineage (change_id);
INSERT INTO _lineage (mark, change_id) VALUES (lower(hex(randomblob(16))), 0);

-- `place`: everything up to that change_id is in the target. `follows`: somebody means to keep the target up to date.
-- `error`, `tries`, `failing_since`, `next_try_at`: it can't be published to now.
CREATE TABLE _published (
  target TEXT NOT NULL,
  follows INTEGER NOT NULL DEFAULT 0,
  place INTEGER NOT NULL DEFAULT 0,
  published_at TEXT,
  error TEXT,
  tries INTEGER NOT NULL DEFAULT 0,
  failing_since TEXT,
  next_try_at TEXT,
  PRIMARY KEY (target)
);
