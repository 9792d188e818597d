-- Version 6: what the search index holds of each text lies in the order in which it came, and no longer in that of time.
--
-- A first pass brings every conversation's texts of all times, so that each of its commits wrote most pages of it anew.
-- The index itself still counts by time, so that the newest hits come first: `number` is its row's number.

CREATE TABLE _texts (
  arrival INTEGER PRIMARY KEY,
  number INTEGER NOT NULL UNIQUE,
  account TEXT NOT NULL,
  kind TEXT NOT NULL,
  owner_id TEXT NOT NULL,
  id TEXT NOT NULL,
  place TEXT NOT NULL,
  sender TEXT NOT NULL,
  words TEXT NOT NULL
);

INSERT INTO _texts (number, account, kind, owner_id, id, place, sender, words)
SELECT rowid, account, kind, owner_id, id, place, sender, words FROM _search ORDER BY rowid;

DROP TABLE _search;
CREATE VIRTUAL TABLE _search USING fts5 (
  account UNINDEXED, kind UNINDEXED, owner_id UNINDEXED, id UNINDEXED, place, sender, words,
  content = '_texts', content_rowid = 'number', tokenize = 'ascii'
);
INSERT INTO _search (_search) VALUES ('rebuild');
