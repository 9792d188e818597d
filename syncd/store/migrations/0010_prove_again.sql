-- Version 9: a short page was taken for a thread's end, which not every server means by it. What rested on that is
-- proved again: the next poll begins to compare everything.
UPDATE _accounts SET state = json_set(
  state, '$.reconciling_since', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), '$.reconcile_listed', json('false'))
WHERE account IN (SELECT account FROM accounts WHERE source = 'opentrain' AND complete_since IS NOT NULL);
