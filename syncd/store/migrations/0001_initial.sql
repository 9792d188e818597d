-- Version 1: every table, index and view.
-- Times are UTC text YYYY-MM-DDTHH:MM:SS.mmmZ, so that text order is time order; booleans are 0 or 1.
-- NOT NULL stands on keys and on what syncd itself always writes; whatever a server sends may be missing.
-- No foreign keys: a message may arrive before the proposal its conversation names.

-- ---------------------------------------------------------------------------------------------------------------------
-- What is mirrored
-- ---------------------------------------------------------------------------------------------------------------------

CREATE TABLE accounts (
  account TEXT NOT NULL,
  source TEXT NOT NULL,
  base_url TEXT,
  viewer_user_id TEXT,
  state TEXT,
  state_since TEXT,
  first_started_at TEXT,
  complete_since TEXT,
  last_success_at TEXT,
  last_reconciled_at TEXT,
  retry_at TEXT,
  last_error TEXT,
  removed_at TEXT,
  change_id INTEGER NOT NULL,
  PRIMARY KEY (account)
);

CREATE TABLE conversations (
  account TEXT NOT NULL,
  id TEXT NOT NULL,
  type TEXT,
  bucket TEXT,
  job_id TEXT,
  proposal_id TEXT,
  channel_name TEXT,
  title TEXT,
  updated_at TEXT,
  last_message_id TEXT,
  last_message_at TEXT,
  unread_count INTEGER,
  needs_reply_count INTEGER,
  first_seen_at TEXT NOT NULL,
  changed_at TEXT NOT NULL,
  change_id INTEGER NOT NULL,
  gone_at TEXT,
  extra TEXT,
  PRIMARY KEY (account, id)
);

CREATE TABLE messages (
  account TEXT NOT NULL,
  id TEXT NOT NULL,
  conversation_id TEXT NOT NULL,
  job_id TEXT,
  sender_user_id TEXT,
  sender_name TEXT,
  is_from_viewer INTEGER,
  content TEXT,
  message_type TEXT,
  is_system INTEGER,
  has_unread_flag INTEGER,
  attachment_count INTEGER,
  has_audio INTEGER,
  reaction_count INTEGER,
  created_at TEXT,
  updated_at TEXT,
  edited_at TEXT,
  first_seen_at TEXT NOT NULL,
  changed_at TEXT NOT NULL,
  change_id INTEGER NOT NULL,
  gone_at TEXT,
  extra TEXT,
  PRIMARY KEY (account, id)
);

CREATE TABLE message_revisions (
  account TEXT NOT NULL,
  message_id TEXT NOT NULL,
  revision INTEGER NOT NULL,
  content TEXT,
  edited_at TEXT,
  replaced_at TEXT,
  change_id INTEGER NOT NULL,
  PRIMARY KEY (account, message_id, revision)
);

CREATE TABLE jobs (
  account TEXT NOT NULL,
  id TEXT NOT NULL,
  title TEXT,
  status TEXT,
  created_at TEXT,
  updated_at TEXT,
  first_seen_at TEXT NOT NULL,
  changed_at TEXT NOT NULL,
  change_id INTEGER NOT NULL,
  gone_at TEXT,
  extra TEXT,
  PRIMARY KEY (account, id)
);

CREATE TABLE candidates (
  account TEXT NOT NULL,
  id TEXT NOT NULL,
  name TEXT,
  slug TEXT,
  title TEXT,
  country_code TEXT,
  erased_at TEXT,
  first_seen_at TEXT NOT NULL,
  changed_at TEXT NOT NULL,
  change_id INTEGER NOT NULL,
  gone_at TEXT,
  extra TEXT,
  PRIMARY KEY (account, id)
);

CREATE TABLE proposals (
  account TEXT NOT NULL,
  id TEXT NOT NULL,
  job_id TEXT,
  job_title TEXT,
  candidate_id TEXT,
  status TEXT,
  status_label TEXT,
  bid_amount_usd REAL,
  bid_unit TEXT,
  interview_score REAL,
  match_score REAL,
  transcript_available INTEGER,
  created_at TEXT,
  updated_at TEXT,
  first_seen_at TEXT NOT NULL,
  changed_at TEXT NOT NULL,
  change_id INTEGER NOT NULL,
  gone_at TEXT,
  extra TEXT,
  PRIMARY KEY (account, id)
);

CREATE TABLE interviews (
  account TEXT NOT NULL,
  proposal_id TEXT NOT NULL,
  interview_id TEXT,
  score REAL,
  summary TEXT,
  first_seen_at TEXT NOT NULL,
  changed_at TEXT NOT NULL,
  change_id INTEGER NOT NULL,
  gone_at TEXT,
  extra TEXT,
  PRIMARY KEY (account, proposal_id)
);

CREATE TABLE interview_messages (
  account TEXT NOT NULL,
  proposal_id TEXT NOT NULL,
  id TEXT NOT NULL,
  seq INTEGER,
  role TEXT,
  content TEXT,
  sent_at TEXT,
  first_seen_at TEXT NOT NULL,
  changed_at TEXT NOT NULL,
  change_id INTEGER NOT NULL,
  gone_at TEXT,
  extra TEXT,
  PRIMARY KEY (account, proposal_id, id)
);

-- ---------------------------------------------------------------------------------------------------------------------
-- What happened. AUTOINCREMENT: a number once given never names another row, not even after a deletion.
-- ---------------------------------------------------------------------------------------------------------------------

CREATE TABLE failures (
  account TEXT NOT NULL,
  kind TEXT NOT NULL,
  subject_id TEXT NOT NULL,
  reason TEXT,
  request_id TEXT,
  tries INTEGER,
  first_failed_at TEXT,
  next_try_at TEXT,
  change_id INTEGER NOT NULL,
  PRIMARY KEY (account, kind, subject_id)
);

CREATE TABLE events (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account TEXT NOT NULL,
  kind TEXT NOT NULL,
  conversation_id TEXT,
  message_id TEXT,
  proposal_id TEXT,
  baseline INTEGER NOT NULL DEFAULT 0,
  occurred_at TEXT,
  recorded_at TEXT,
  logged_at TEXT,
  data TEXT,
  change_id INTEGER NOT NULL
);

CREATE TABLE outbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account TEXT NOT NULL,
  conversation_id TEXT NOT NULL,
  content TEXT,
  state TEXT NOT NULL,
  created_at TEXT,
  expires_at TEXT,
  attempted_at TEXT,
  message_id TEXT,
  error TEXT,
  change_id INTEGER NOT NULL
);

CREATE TABLE sync_runs (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account TEXT NOT NULL,
  kind TEXT NOT NULL,
  started_at TEXT,
  finished_at TEXT,
  requests INTEGER,
  rows_written INTEGER,
  error TEXT,
  change_id INTEGER NOT NULL
);

-- ---------------------------------------------------------------------------------------------------------------------
-- Internal: the engine's memory, free to change from version to version
-- ---------------------------------------------------------------------------------------------------------------------

CREATE TABLE _counters (
  name TEXT NOT NULL,
  value INTEGER NOT NULL,
  PRIMARY KEY (name)
);

-- `key` is the deleted row's primary key as a JSON array.
CREATE TABLE _deletions (
  table_name TEXT NOT NULL,
  "key" TEXT NOT NULL,
  change_id INTEGER NOT NULL,
  PRIMARY KEY (table_name, "key")
);

-- `state` is JSON, here and in _threads.
CREATE TABLE _accounts (
  account TEXT NOT NULL,
  state TEXT NOT NULL,
  PRIMARY KEY (account)
);

CREATE TABLE _threads (
  account TEXT NOT NULL,
  conversation_id TEXT NOT NULL,
  state TEXT NOT NULL,
  PRIMARY KEY (account, conversation_id)
);

CREATE TABLE _owed (
  account TEXT NOT NULL,
  kind TEXT NOT NULL,
  subject_id TEXT NOT NULL,
  version INTEGER NOT NULL,
  due_at TEXT NOT NULL,
  payload TEXT,
  PRIMARY KEY (account, kind, subject_id)
);

CREATE TABLE _seen (
  account TEXT NOT NULL,
  conversation_id TEXT NOT NULL,
  message_id TEXT NOT NULL,
  PRIMARY KEY (account, conversation_id, message_id)
) WITHOUT ROWID;

CREATE TABLE _suspects (
  account TEXT NOT NULL,
  kind TEXT NOT NULL,
  subject_id TEXT NOT NULL,
  conversation_id TEXT,
  since TEXT NOT NULL,
  PRIMARY KEY (account, kind, subject_id)
);

-- Of an outgoing message: its first attempt that may have arrived, when it was first looked for in vain, and its
-- sender's own name for it.
CREATE TABLE _outbox (
  id INTEGER NOT NULL,
  since TEXT,
  missed_at TEXT,
  key TEXT,
  PRIMARY KEY (id)
);

INSERT INTO _counters (name, value) VALUES ('change_id', 0);

-- ---------------------------------------------------------------------------------------------------------------------
-- search: full text over messages and transcripts
--
-- `words` holds the text as words already (core/words.py), as SQLite can't cut Chinese and the like; so the plain `ascii`
-- tokenizer is exact, and no SQLite function of our own is needed to read or write. Triggers note what changed, and the
-- writer indexes it at the end of the same transaction. A row's number is its second since 1970 * 2^20 + a serial number:
-- the newest come first without sorting. `place` is a token for the conversation or proposal.
-- ---------------------------------------------------------------------------------------------------------------------

CREATE VIRTUAL TABLE _search USING fts5 (
  account UNINDEXED, kind UNINDEXED, owner_id UNINDEXED, id UNINDEXED, place, sender, words, tokenize = 'ascii'
);

-- `old_at`: where the text stood in the index before; NULL when it is new.
CREATE TABLE _search_due (
  number INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  account TEXT NOT NULL,
  owner_id TEXT NOT NULL,
  id TEXT NOT NULL,
  old_at TEXT
);

CREATE TRIGGER messages_search_insert AFTER INSERT ON messages WHEN new.content <> '' BEGIN
  INSERT INTO _search_due (kind, account, owner_id, id, old_at) VALUES ('message', new.account, new.conversation_id, new.id, NULL);
END;
CREATE TRIGGER messages_search_update AFTER UPDATE ON messages WHEN
  old.content IS NOT new.content OR old.created_at IS NOT new.created_at
  OR old.conversation_id IS NOT new.conversation_id OR old.sender_name IS NOT new.sender_name
  OR old.sender_user_id IS NOT new.sender_user_id OR old.is_from_viewer IS NOT new.is_from_viewer BEGIN
  INSERT INTO _search_due (kind, account, owner_id, id, old_at) VALUES
    ('message', new.account, new.conversation_id, new.id, coalesce(old.created_at, old.first_seen_at));
END;
CREATE TRIGGER messages_search_delete AFTER DELETE ON messages WHEN old.content <> '' BEGIN
  INSERT INTO _search_due (kind, account, owner_id, id, old_at) VALUES
    ('message', old.account, old.conversation_id, old.id, coalesce(old.created_at, old.first_seen_at));
END;
CREATE TRIGGER interview_messages_search_insert AFTER INSERT ON interview_messages WHEN new.content <> '' BEGIN
  INSERT INTO _search_due (kind, account, owner_id, id, old_at) VALUES ('interview', new.account, new.proposal_id, new.id, NULL);
END;
CREATE TRIGGER interview_messages_search_update AFTER UPDATE ON interview_messages WHEN
  old.content IS NOT new.content OR old.sent_at IS NOT new.sent_at OR old.role IS NOT new.role BEGIN
  INSERT INTO _search_due (kind, account, owner_id, id, old_at) VALUES
    ('interview', new.account, new.proposal_id, new.id, coalesce(old.sent_at, old.first_seen_at));
END;
CREATE TRIGGER interview_messages_search_delete AFTER DELETE ON interview_messages WHEN old.content <> '' BEGIN
  INSERT INTO _search_due (kind, account, owner_id, id, old_at) VALUES
    ('interview', old.account, old.proposal_id, old.id, coalesce(old.sent_at, old.first_seen_at));
END;

-- ---------------------------------------------------------------------------------------------------------------------
-- feed and erasure: who follows the events and how far they are; what was erased and may not come back
-- ---------------------------------------------------------------------------------------------------------------------

-- `from_start`: it wants the events about history too. `error`, `tries`, `next_try_at`: its command fails.
CREATE TABLE _consumers (
  name TEXT NOT NULL,
  event_id INTEGER NOT NULL,
  from_start INTEGER NOT NULL DEFAULT 0,
  updated_at TEXT NOT NULL,
  error TEXT,
  tries INTEGER NOT NULL DEFAULT 0,
  next_try_at TEXT,
  PRIMARY KEY (name)
);

-- Events that are no longer there: a run of ids, why (erasure or retention), and since when.
CREATE TABLE _gaps (
  first_id INTEGER NOT NULL,
  last_id INTEGER NOT NULL,
  reason TEXT NOT NULL,
  erased_at TEXT NOT NULL,
  PRIMARY KEY (first_id)
);

-- Kept of what was erased: its id alone. `kind`: candidate, proposal, conversation, message or interview.
CREATE TABLE _erased (
  account TEXT NOT NULL,
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  erased_at TEXT NOT NULL,
  PRIMARY KEY (account, kind, id)
) WITHOUT ROWID;

-- Erasures whose rows are gone but whose traces in the file may be left. `subject`: what it was, in words without names.
CREATE TABLE _erasures (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  subject TEXT NOT NULL,
  begun_at TEXT NOT NULL
);

-- Copies that `backup` made; those that still hold a person who was erased are named.
CREATE TABLE _backups (
  path TEXT NOT NULL,
  made_at TEXT NOT NULL,
  PRIMARY KEY (path)
);

-- ---------------------------------------------------------------------------------------------------------------------
-- Indexes
-- ---------------------------------------------------------------------------------------------------------------------

CREATE INDEX messages_thread ON messages (account, conversation_id, created_at, id);
-- Only ours, only inbound: where a turn begins and ends is one step each, however long the thread.
CREATE INDEX messages_ours ON messages (account, conversation_id, created_at, id)
  WHERE is_from_viewer = 1 AND is_system IS NOT 1 AND gone_at IS NULL;
CREATE INDEX messages_inbound ON messages (account, conversation_id, created_at, id)
  WHERE is_from_viewer IS NOT 1 AND is_system IS NOT 1 AND gone_at IS NULL;
CREATE INDEX conversations_proposal ON conversations (account, proposal_id);
-- A poll asks which conversations count as unread, whatever the size of the inbox.
CREATE INDEX conversations_unread ON conversations (account) WHERE unread_count > 0;
CREATE INDEX proposals_candidate ON proposals (account, candidate_id);
CREATE INDEX events_message ON events (account, kind, message_id);
CREATE INDEX events_unlogged ON events (logged_at) WHERE logged_at IS NULL;
CREATE INDEX owed_due ON _owed (account, due_at);
CREATE INDEX outbox_open ON outbox (account, conversation_id) WHERE state IN ('queued', 'sending', 'unconfirmed');
CREATE UNIQUE INDEX outbox_key ON _outbox (key);
CREATE INDEX outbox_found ON outbox (account, conversation_id) WHERE message_id IS NOT NULL;

CREATE INDEX accounts_change ON accounts (change_id);
CREATE INDEX conversations_change ON conversations (change_id);
CREATE INDEX messages_change ON messages (change_id);
CREATE INDEX message_revisions_change ON message_revisions (change_id);
CREATE INDEX jobs_change ON jobs (change_id);
CREATE INDEX candidates_change ON candidates (change_id);
CREATE INDEX proposals_change ON proposals (change_id);
CREATE INDEX interviews_change ON interviews (change_id);
CREATE INDEX interview_messages_change ON interview_messages (change_id);
CREATE INDEX failures_change ON failures (change_id);
CREATE INDEX events_change ON events (change_id);
CREATE INDEX outbox_change ON outbox (change_id);
CREATE INDEX sync_runs_change ON sync_runs (change_id);
CREATE INDEX deletions_change ON _deletions (change_id);

-- What the query planner should expect: few accounts, and many rows in each. With this, "this conversation" finds its
-- index even where a query does not name the account.
ANALYZE;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
  ('conversations', 'sqlite_autoindex_conversations_1', '10000 5000 1'),
  ('conversations', 'conversations_proposal', '10000 5000 1'),
  ('messages', 'sqlite_autoindex_messages_1', '1000000 500000 1'),
  ('messages', 'messages_thread', '1000000 500000 100 1 1'),
  ('messages', 'messages_ours', '500000 250000 50 1 1'),
  ('messages', 'messages_inbound', '500000 250000 50 1 1'),
  ('messages', 'messages_change', '1000000 20'),
  ('proposals', 'sqlite_autoindex_proposals_1', '10000 5000 1'),
  ('proposals', 'proposals_candidate', '10000 5000 2'),
  ('candidates', 'sqlite_autoindex_candidates_1', '10000 5000 1');
ANALYZE sqlite_master;  -- only reads these rows

-- ---------------------------------------------------------------------------------------------------------------------
-- Views. Nothing newer than SQLite 3.31.
--
-- Inbound: is_system IS NOT 1 AND is_from_viewer IS NOT 1. Ours: is_system IS NOT 1 AND is_from_viewer = 1.
-- Order within a conversation: (created_at, id); a message without a time is in no turn.
-- Two-sided: an OpenTrain conversation without a channel name; only there do turns and waiting exist.
-- Turns are found by index steps in each conversation and not by window functions: a filter on one conversation does not
-- reach into a window in SQLite 3.31, which would then read all messages.
-- ---------------------------------------------------------------------------------------------------------------------

CREATE VIEW inbox AS
SELECT
  c.account,
  a.source,
  c.id AS conversation_id,
  c.type,
  c.bucket,
  c.title,
  coalesce(p.job_id, c.job_id) AS job_id,
  coalesce(j.title, p.job_title) AS job_title,
  c.proposal_id,
  CASE WHEN a.source = 'openats' AND c.id GLOB 'candidate:*' THEN substr(c.id, 11) ELSE p.candidate_id END
    AS candidate_id,
  coalesce(k.name, CASE WHEN a.source = 'openats' AND c.id GLOB 'candidate:*' THEN c.title END) AS candidate_name,
  c.unread_count,
  c.needs_reply_count,
  c.last_message_id,
  m.created_at AS last_message_at,
  CASE
    WHEN m.id IS NULL THEN NULL
    WHEN m.is_system = 1 THEN 'system'
    WHEN m.is_from_viewer = 1 THEN 'me'
    ELSE coalesce(CASE WHEN a.source = 'opentrain' THEN k.name END, m.sender_name, m.sender_user_id)
  END AS last_sender,
  m.content AS last_message,
  -- How long the first inbound message after our last one has waited; a clock that runs behind makes no negative wait.
  CASE WHEN a.source = 'opentrain' AND coalesce(c.channel_name, '') = '' THEN max(0.0, round(86400 * (
    julianday('now') - julianday((
      SELECT i.created_at
      FROM messages AS i
      WHERE i.account = c.account AND i.conversation_id = c.id
        AND i.is_from_viewer IS NOT 1 AND i.is_system IS NOT 1 AND i.gone_at IS NULL
        AND (i.created_at, i.id) > (
          coalesce((
            SELECT o.created_at
            FROM messages AS o
            WHERE o.account = c.account AND o.conversation_id = c.id
              AND o.is_from_viewer = 1 AND o.is_system IS NOT 1 AND o.gone_at IS NULL
            ORDER BY o.created_at DESC, o.id DESC
            LIMIT 1
          ), ''),
          coalesce((
            SELECT o.id
            FROM messages AS o
            WHERE o.account = c.account AND o.conversation_id = c.id
              AND o.is_from_viewer = 1 AND o.is_system IS NOT 1 AND o.gone_at IS NULL
            ORDER BY o.created_at DESC, o.id DESC
            LIMIT 1
          ), '')
        )
      ORDER BY i.created_at, i.id
      LIMIT 1
    ))
  ), 3)) END AS waiting_seconds,
  c.gone_at
FROM conversations AS c
LEFT JOIN accounts AS a ON a.account = c.account
LEFT JOIN proposals AS p ON p.account = c.account AND p.id = c.proposal_id
LEFT JOIN jobs AS j ON j.account = c.account AND j.id = coalesce(p.job_id, c.job_id)
LEFT JOIN candidates AS k ON k.account = c.account
  AND k.id = CASE WHEN a.source = 'openats' AND c.id GLOB 'candidate:*' THEN substr(c.id, 11) ELSE p.candidate_id END
LEFT JOIN messages AS m ON m.account = c.account AND m.id = c.last_message_id;

CREATE VIEW unread AS
SELECT * FROM inbox WHERE unread_count > 0 AND gone_at IS NULL;

CREATE VIEW needs_reply AS
SELECT * FROM inbox WHERE needs_reply_count > 0 AND gone_at IS NULL;

CREATE VIEW thread AS
SELECT
  m.account,
  m.conversation_id,
  m.id AS message_id,
  m.created_at AS sent_at,
  CASE
    WHEN m.is_system = 1 THEN 'system'
    WHEN m.is_from_viewer = 1 THEN 'me'
    ELSE coalesce(
      CASE WHEN a.source = 'opentrain' THEN (
        SELECT k.name
        FROM conversations AS c
        JOIN proposals AS p ON p.account = c.account AND p.id = c.proposal_id
        JOIN candidates AS k ON k.account = p.account AND k.id = p.candidate_id
        WHERE c.account = m.account AND c.id = m.conversation_id
      ) END,
      m.sender_name,
      m.sender_user_id
    )
  END AS sender,
  CASE
    WHEN m.is_system = 1 THEN 'system'
    WHEN a.source = 'openats' THEN 'internal'
    WHEN m.is_from_viewer = 1 THEN 'out'
    ELSE 'in'
  END AS direction,
  m.content,
  m.edited_at,
  m.gone_at
FROM messages AS m
LEFT JOIN accounts AS a ON a.account = m.account;

-- Each message of ours ends the turn that began with the first inbound message since the one of ours before it.
-- What came in after our last message is the open turn. CROSS JOIN: the conversations come first, and each is walked.
CREATE VIEW response_times AS
SELECT
  t.account,
  t.conversation_id,
  t.bucket,
  t.job_id,
  t.proposal_id,
  q.id AS asked_message_id,
  q.created_at AS asked_at,
  t.answered_message_id,
  t.answered_at,
  round(86400 * (julianday(t.answered_at) - julianday(q.created_at)), 3) AS seconds
FROM (
  SELECT
    c.account,
    c.id AS conversation_id,
    c.bucket,
    coalesce(p.job_id, c.job_id) AS job_id,
    c.proposal_id,
    o.id AS answered_message_id,
    o.created_at AS answered_at,
    (
      SELECT i.rowid
      FROM messages AS i
      WHERE i.account = c.account AND i.conversation_id = c.id
        AND i.is_from_viewer IS NOT 1 AND i.is_system IS NOT 1 AND i.gone_at IS NULL
        AND (i.created_at, i.id) < (o.created_at, o.id)
        AND (i.created_at, i.id) > (
          coalesce((
            SELECT b.created_at
            FROM messages AS b
            WHERE b.account = c.account AND b.conversation_id = c.id
              AND b.is_from_viewer = 1 AND b.is_system IS NOT 1 AND b.gone_at IS NULL
              AND (b.created_at, b.id) < (o.created_at, o.id)
            ORDER BY b.created_at DESC, b.id DESC
            LIMIT 1
          ), ''),
          coalesce((
            SELECT b.id
            FROM messages AS b
            WHERE b.account = c.account AND b.conversation_id = c.id
              AND b.is_from_viewer = 1 AND b.is_system IS NOT 1 AND b.gone_at IS NULL
              AND (b.created_at, b.id) < (o.created_at, o.id)
            ORDER BY b.created_at DESC, b.id DESC
            LIMIT 1
          ), '')
        )
      ORDER BY i.created_at, i.id
      LIMIT 1
    ) AS asked_rowid
  FROM conversations AS c
  JOIN accounts AS a ON a.account = c.account AND a.source = 'opentrain'
  LEFT JOIN proposals AS p ON p.account = c.account AND p.id = c.proposal_id
  CROSS JOIN messages AS o ON o.account = c.account AND o.conversation_id = c.id
    AND o.is_from_viewer = 1 AND o.is_system IS NOT 1 AND o.gone_at IS NULL
  WHERE coalesce(c.channel_name, '') = ''
  UNION ALL
  SELECT
    c.account,
    c.id,
    c.bucket,
    coalesce(p.job_id, c.job_id),
    c.proposal_id,
    NULL,
    NULL,
    (
      SELECT i.rowid
      FROM messages AS i
      WHERE i.account = c.account AND i.conversation_id = c.id
        AND i.is_from_viewer IS NOT 1 AND i.is_system IS NOT 1 AND i.gone_at IS NULL
        AND (i.created_at, i.id) > (
          coalesce((
            SELECT o.created_at
            FROM messages AS o
            WHERE o.account = c.account AND o.conversation_id = c.id
              AND o.is_from_viewer = 1 AND o.is_system IS NOT 1 AND o.gone_at IS NULL
            ORDER BY o.created_at DESC, o.id DESC
            LIMIT 1
          ), ''),
          coalesce((
            SELECT o.id
            FROM messages AS o
            WHERE o.account = c.account AND o.conversation_id = c.id
              AND o.is_from_viewer = 1 AND o.is_system IS NOT 1 AND o.gone_at IS NULL
            ORDER BY o.created_at DESC, o.id DESC
            LIMIT 1
          ), '')
        )
      ORDER BY i.created_at, i.id
      LIMIT 1
    )
  FROM conversations AS c
  JOIN accounts AS a ON a.account = c.account AND a.source = 'opentrain'
  LEFT JOIN proposals AS p ON p.account = c.account AND p.id = c.proposal_id
  WHERE coalesce(c.channel_name, '') = ''
) AS t
JOIN messages AS q ON q.rowid = t.asked_rowid;

CREATE VIEW daily_activity AS
SELECT
  m.account,
  substr(m.created_at, 1, 10) AS day,
  sum(m.is_system IS NOT 1 AND m.is_from_viewer IS NOT 1 AND a.source IS NOT 'openats') AS inbound,
  sum(m.is_system IS NOT 1 AND m.is_from_viewer IS 1 AND a.source IS NOT 'openats') AS outbound,
  sum(m.is_system IS 1) AS system_messages,
  count(DISTINCT m.conversation_id) AS active_conversations
FROM messages AS m
LEFT JOIN accounts AS a ON a.account = m.account
WHERE m.created_at IS NOT NULL
GROUP BY substr(m.created_at, 1, 10), m.account;

CREATE VIEW interview_results AS
SELECT
  i.account,
  i.proposal_id,
  i.interview_id,
  p.job_id,
  coalesce(j.title, p.job_title) AS job_title,
  p.candidate_id,
  k.name AS candidate_name,
  i.score,
  i.summary,
  (
    SELECT count(*)
    FROM interview_messages AS q
    WHERE q.account = i.account AND q.proposal_id = i.proposal_id AND q.role = 'interviewer' AND q.gone_at IS NULL
  ) AS question_count,
  (
    SELECT max(q.sent_at)
    FROM interview_messages AS q
    WHERE q.account = i.account AND q.proposal_id = i.proposal_id AND q.gone_at IS NULL
  ) AS last_message_at
FROM interviews AS i
LEFT JOIN proposals AS p ON p.account = i.account AND p.id = i.proposal_id
LEFT JOIN jobs AS j ON j.account = p.account AND j.id = p.job_id
LEFT JOIN candidates AS k ON k.account = p.account AND k.id = p.candidate_id
WHERE i.gone_at IS NULL;

CREATE VIEW freshness AS
SELECT
  a.account,
  a.source,
  a.state,
  a.complete_since,
  a.last_success_at,
  round(86400 * (julianday('now') - julianday(a.last_success_at)), 3) AS age_seconds,
  a.last_reconciled_at,
  a.retry_at,
  (SELECT count(*) FROM failures AS f WHERE f.account = a.account) AS failures
FROM accounts AS a
WHERE a.removed_at IS NULL;
