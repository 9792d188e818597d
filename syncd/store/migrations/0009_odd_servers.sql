-- Entries of a listing that can't be read, each with a row in `failures`.
CREATE TABLE _unreadable (
  account TEXT NOT NULL,
  listing TEXT NOT NULL,
  kind TEXT NOT NULL,
  subject_id TEXT NOT NULL,
  PRIMARY KEY (account, listing, kind, subject_id)
) WITHOUT ROWID;

CREATE INDEX unreadable_subject ON _unreadable (account, kind, subject_id);

-- A poll that lies in the future, as the clock was set back since, has no age.
DROP VIEW freshness;

CREATE VIEW freshness AS
SELECT
  a.account,
  a.source,
  a.state,
  a.complete_since,
  a.last_success_at,
  CASE WHEN julianday(a.last_success_at) - julianday('now') <= 10.0 / 86400
    THEN max(0.0, round(86400 * (julianday('now') - julianday(a.last_success_at)), 3)) END AS age_seconds,
  a.last_reconciled_at,
  a.retry_at,
  (SELECT count(*) FROM failures AS f WHERE f.account = a.account) AS failures
FROM accounts AS a
WHERE a.removed_at IS NULL;
