-- A poll that lies in the future, as the clock was set back since, has no age.
CREATE OR REPLACE VIEW freshness AS
SELECT
  a.account,
  a.source,
  a.state,
  a.complete_since,
  a.last_success_at,
  CASE WHEN a.last_success_at - statement_timestamp() <= interval '10 seconds' THEN
    greatest(0, round(extract(epoch FROM statement_timestamp() - a.last_success_at)::numeric, 3))::double precision
  END AS age_seconds,
  a.last_reconciled_at,
  a.retry_at,
  (SELECT count(*) FROM failures AS f WHERE f.account = a.account) AS failures
FROM accounts AS a
WHERE a.removed_at IS NULL;
