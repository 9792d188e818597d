-- Version 8: the views take what a source can do from a table, instead of knowing the sources by name.

-- Written whenever the database is opened for writing, from what this program knows of its sources (core/sources.py).
-- `has_viewer`: there are two sides, ours and the others', so turns and waiting exist. `names_subjects`: a
-- conversation's id names the job or the candidate that it is about, such as candidate:42.
CREATE TABLE _sources (
  source TEXT NOT NULL,
  has_viewer INTEGER NOT NULL,
  names_subjects INTEGER NOT NULL,
  PRIMARY KEY (source)
) WITHOUT ROWID;

DROP VIEW needs_reply;
DROP VIEW unread;
DROP VIEW inbox;
DROP VIEW thread;
DROP VIEW response_times;
DROP VIEW daily_activity;

-- The row of empty texts stands in where there is none of ours: it comes before every time. The last message is looked
-- for where the turn ends, in a page that is read anyway (the plus keeps SQLite there), and by its id if not found.
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
  CASE WHEN s.names_subjects AND c.id GLOB 'candidate:*' THEN substr(c.id, 11) ELSE p.candidate_id END
    AS candidate_id,
  coalesce(k.name, CASE WHEN s.names_subjects AND c.id GLOB 'candidate:*' THEN c.title END) AS candidate_name,
  c.unread_count,
  c.needs_reply_count,
  c.last_message_id,
  m.created_at AS last_message_at,
  CASE
    WHEN m.id IS NULL THEN NULL
    WHEN m.is_system = 1 THEN 'system'
    WHEN m.is_from_viewer = 1 THEN 'me'
    ELSE coalesce(CASE WHEN s.has_viewer THEN k.name END, m.sender_name, m.sender_user_id)
  END AS last_sender,
  m.content AS last_message,
  -- How long the first inbound message after our last one has waited; a clock that runs behind makes no negative wait.
  CASE WHEN s.has_viewer AND coalesce(c.channel_name, '') = '' THEN max(0.0, round(86400 * (
    julianday('now') - julianday((
      SELECT i.created_at
      FROM messages AS i
      WHERE i.account = c.account AND i.conversation_id = c.id
        AND i.is_from_viewer IS NOT 1 AND i.is_system IS NOT 1 AND i.gone_at IS NULL
        AND (i.created_at, i.id) > (
          SELECT * FROM (
            SELECT o.created_at, o.id
            FROM messages AS o
            WHERE o.account = c.account AND o.conversation_id = c.id
              AND o.is_from_viewer = 1 AND o.is_system IS NOT 1 AND o.gone_at IS NULL AND o.created_at IS NOT NULL
            ORDER BY o.created_at DESC, o.id DESC
            LIMIT 1
          )
          UNION ALL SELECT '', '' LIMIT 1
        )
      ORDER BY i.created_at, i.id
      LIMIT 1
    ))
  ), 3)) END AS waiting_seconds,
  c.gone_at
FROM conversations AS c
LEFT JOIN accounts AS a ON a.account = c.account
LEFT JOIN _sources AS s ON s.source = a.source
LEFT JOIN proposals AS p ON p.account = c.account AND p.id = c.proposal_id
LEFT JOIN jobs AS j ON j.account = c.account AND j.id = coalesce(p.job_id, c.job_id)
LEFT JOIN candidates AS k ON k.account = c.account
  AND k.id = CASE WHEN s.names_subjects AND c.id GLOB 'candidate:*' THEN substr(c.id, 11) ELSE p.candidate_id END
LEFT JOIN messages AS m ON m.rowid = coalesce(
  (
    SELECT l.rowid
    FROM messages AS l
    WHERE l.account = c.account AND l.conversation_id = c.id AND l.is_system IS NOT 1 AND l.gone_at IS NULL
      AND l.created_at = c.last_message_at AND +l.id = c.last_message_id
  ),
  (SELECT l.rowid FROM messages AS l WHERE l.account = c.account AND l.id = c.last_message_id)
);

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
      CASE WHEN s.has_viewer THEN (
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
    WHEN NOT s.has_viewer THEN 'internal'
    WHEN m.is_from_viewer = 1 THEN 'out'
    ELSE 'in'
  END AS direction,
  m.content,
  m.edited_at,
  m.gone_at
FROM messages AS m
LEFT JOIN accounts AS a ON a.account = m.account
LEFT JOIN _sources AS s ON s.source = a.source;

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
          SELECT * FROM (
            SELECT b.created_at, b.id
            FROM messages AS b
            WHERE b.account = c.account AND b.conversation_id = c.id
              AND b.is_from_viewer = 1 AND b.is_system IS NOT 1 AND b.gone_at IS NULL
              AND (b.created_at, b.id) < (o.created_at, o.id)
            ORDER BY b.created_at DESC, b.id DESC
            LIMIT 1
          )
          UNION ALL SELECT '', '' LIMIT 1
        )
      ORDER BY i.created_at, i.id
      LIMIT 1
    ) AS asked_rowid
  FROM conversations AS c
  JOIN accounts AS a ON a.account = c.account
  JOIN _sources AS s ON s.source = a.source AND s.has_viewer
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
          SELECT * FROM (
            SELECT o.created_at, o.id
            FROM messages AS o
            WHERE o.account = c.account AND o.conversation_id = c.id
              AND o.is_from_viewer = 1 AND o.is_system IS NOT 1 AND o.gone_at IS NULL AND o.created_at IS NOT NULL
            ORDER BY o.created_at DESC, o.id DESC
            LIMIT 1
          )
          UNION ALL SELECT '', '' LIMIT 1
        )
      ORDER BY i.created_at, i.id
      LIMIT 1
    )
  FROM conversations AS c
  JOIN accounts AS a ON a.account = c.account
  JOIN _sources AS s ON s.source = a.source AND s.has_viewer
  LEFT JOIN proposals AS p ON p.account = c.account AND p.id = c.proposal_id
  WHERE coalesce(c.channel_name, '') = ''
) AS t
JOIN messages AS q ON q.rowid = t.asked_rowid;

CREATE VIEW daily_activity AS
SELECT
  m.account,
  substr(m.created_at, 1, 10) AS day,
  sum(m.is_system IS NOT 1 AND m.is_from_viewer IS NOT 1 AND s.has_viewer IS NOT 0) AS inbound,
  sum(m.is_system IS NOT 1 AND m.is_from_viewer IS 1 AND s.has_viewer IS NOT 0) AS outbound,
  sum(m.is_system IS 1) AS system_messages,
  count(DISTINCT m.conversation_id) AS active_conversations
FROM messages AS m
LEFT JOIN accounts AS a ON a.account = m.account
LEFT JOIN _sources AS s ON s.source = a.source
WHERE m.created_at IS NOT NULL
GROUP BY substr(m.created_at, 1, 10), m.account;
