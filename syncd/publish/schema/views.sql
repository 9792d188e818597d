-- Indexes, for the views and the reports that stand on them. A statement here is run again on each new version.

-- Also where a wait begins is found here: a few steps back from the end, to our last message.
CREATE INDEX IF NOT EXISTS messages_thread ON messages (account, conversation_id, created_at, id);
CREATE INDEX IF NOT EXISTS conversations_proposal ON conversations (account, proposal_id);
CREATE INDEX IF NOT EXISTS conversations_unread ON conversations (account) WHERE unread_count > 0;
CREATE INDEX IF NOT EXISTS conversations_needs_reply ON conversations (account) WHERE needs_reply_count > 0;
CREATE INDEX IF NOT EXISTS proposals_candidate ON proposals (account, candidate_id);

-- The views, with the results that the mirror's own have; the contract says what they mean.
-- A view is replaced where it stands, as others' may rest on it: a new column comes last.
--
-- Inbound: is_system IS NOT TRUE AND is_from_viewer IS NOT TRUE.
-- Ours: is_system IS NOT TRUE AND is_from_viewer IS TRUE.
-- Order within a conversation: (created_at, id); a message without a time is in no turn.
-- Two-sided: an OpenTrain conversation without a channel name; only there do turns and waiting exist.
-- Seconds are rounded to milliseconds before they become floating, so that they are the mirror's to the last bit.

CREATE OR REPLACE VIEW inbox AS
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
  CASE WHEN s.names_subjects AND c.id LIKE 'candidate:%' THEN substr(c.id, 11) ELSE p.candidate_id END
    AS candidate_id,
  coalesce(k.name, CASE WHEN s.names_subjects AND c.id LIKE 'candidate:%' THEN c.title END) AS candidate_name,
  c.unread_count,
  c.needs_reply_count,
  c.last_message_id,
  m.created_at AS last_message_at,
  CASE
    WHEN m.id IS NULL THEN NULL
    WHEN m.is_system THEN 'system'
    WHEN m.is_from_viewer THEN 'me'
    ELSE coalesce(CASE WHEN s.has_viewer THEN k.name END, m.sender_name, m.sender_user_id)
  END AS last_sender,
  m.content AS last_message,
  -- How long the first inbound message after our last one has waited; a clock that runs behind makes no negative wait.
  -- A subquery and no join: who does not ask for it does not pay for it.
  CASE WHEN s.has_viewer AND coalesce(c.channel_name, '') = '' THEN (
    SELECT greatest(0, round(extract(epoch FROM statement_timestamp() - i.created_at)::numeric, 3))::double precision
    FROM (SELECT 1) AS one
    LEFT JOIN LATERAL (
      SELECT o.created_at, o.id
      FROM messages AS o
      WHERE o.account = c.account AND o.conversation_id = c.id
        AND o.is_from_viewer IS TRUE AND o.is_system IS NOT TRUE AND o.gone_at IS NULL AND o.created_at IS NOT NULL
      ORDER BY o.created_at DESC, o.id DESC
      LIMIT 1
    ) AS last ON TRUE
    JOIN LATERAL (
      SELECT q.created_at
      FROM messages AS q
      WHERE q.account = c.account AND q.conversation_id = c.id
        AND q.is_from_viewer IS NOT TRUE AND q.is_system IS NOT TRUE AND q.gone_at IS NULL AND q.created_at IS NOT NULL
        AND (q.created_at, q.id) > (coalesce(last.created_at, '-infinity'), coalesce(last.id, ''))
      ORDER BY q.created_at, q.id
      LIMIT 1
    ) AS i ON TRUE
  ) END AS waiting_seconds,
  c.gone_at
FROM conversations AS c
LEFT JOIN accounts AS a ON a.account = c.account
LEFT JOIN _sources AS s ON s.source = a.source
LEFT JOIN proposals AS p ON p.account = c.account AND p.id = c.proposal_id
LEFT JOIN jobs AS j ON j.account = c.account AND j.id = coalesce(p.job_id, c.job_id)
LEFT JOIN candidates AS k ON k.account = c.account
  AND k.id = CASE WHEN s.names_subjects AND c.id LIKE 'candidate:%' THEN substr(c.id, 11) ELSE p.candidate_id END
LEFT JOIN messages AS m ON m.account = c.account AND m.id = c.last_message_id;

CREATE OR REPLACE VIEW unread AS
SELECT * FROM inbox WHERE unread_count > 0 AND gone_at IS NULL;

CREATE OR REPLACE VIEW needs_reply AS
SELECT * FROM inbox WHERE needs_reply_count > 0 AND gone_at IS NULL;

CREATE OR REPLACE VIEW thread AS
SELECT
  m.account,
  m.conversation_id,
  m.id AS message_id,
  m.created_at AS sent_at,
  CASE
    WHEN m.is_system THEN 'system'
    WHEN m.is_from_viewer THEN 'me'
    ELSE coalesce(CASE WHEN s.has_viewer THEN k.name END, m.sender_name, m.sender_user_id)
  END AS sender,
  CASE
    WHEN m.is_system THEN 'system'
    WHEN NOT s.has_viewer THEN 'internal'
    WHEN m.is_from_viewer THEN 'out'
    ELSE 'in'
  END AS direction,
  m.content,
  m.edited_at,
  m.gone_at
FROM messages AS m
LEFT JOIN accounts AS a ON a.account = m.account
LEFT JOIN _sources AS s ON s.source = a.source
LEFT JOIN conversations AS c ON c.account = m.account AND c.id = m.conversation_id
LEFT JOIN proposals AS p ON p.account = c.account AND p.id = c.proposal_id
LEFT JOIN candidates AS k ON k.account = p.account AND k.id = p.candidate_id;

-- Of all messages those remain at which the other side begins to speak; we count as having spoken before the first.
-- Then inbound ones and ours alternate, and each inbound one is answered by the next. A filter on a conversation
-- reaches through both windows, as it is among what they are partitioned by.
CREATE OR REPLACE VIEW response_times AS
SELECT
  t.account,
  t.conversation_id,
  c.bucket,
  coalesce(p.job_id, c.job_id) AS job_id,
  c.proposal_id,
  t.id AS asked_message_id,
  t.created_at AS asked_at,
  t.answered_message_id,
  t.answered_at,
  round(extract(epoch FROM t.answered_at - t.created_at)::numeric, 3)::double precision AS seconds
FROM (
  SELECT
    s.account,
    s.conversation_id,
    s.id,
    s.created_at,
    s.is_ours,
    lead(s.id) OVER w AS answered_message_id,
    lead(s.created_at) OVER w AS answered_at
  FROM (
    SELECT
      m.account,
      m.conversation_id,
      m.id,
      m.created_at,
      m.is_from_viewer IS TRUE AS is_ours,
      lag(m.is_from_viewer IS TRUE, 1, TRUE)
        OVER (PARTITION BY m.account, m.conversation_id ORDER BY m.created_at, m.id) AS after_ours
    FROM messages AS m
    WHERE m.is_system IS NOT TRUE AND m.gone_at IS NULL AND m.created_at IS NOT NULL
  ) AS s
  WHERE s.is_ours <> s.after_ours
  WINDOW w AS (PARTITION BY s.account, s.conversation_id ORDER BY s.created_at, s.id)
) AS t
JOIN conversations AS c ON c.account = t.account AND c.id = t.conversation_id AND coalesce(c.channel_name, '') = ''
JOIN accounts AS a ON a.account = t.account
JOIN _sources AS s ON s.source = a.source AND s.has_viewer
LEFT JOIN proposals AS p ON p.account = c.account AND p.id = c.proposal_id
WHERE NOT t.is_ours;

-- `day` is text, as in the mirror: YYYY-MM-DD of UTC.
CREATE OR REPLACE VIEW daily_activity AS
SELECT
  d.account,
  to_char(d.day, 'YYYY-MM-DD') AS day,
  CASE WHEN NOT s.has_viewer THEN 0 ELSE d.inbound END AS inbound,
  CASE WHEN NOT s.has_viewer THEN 0 ELSE d.outbound END AS outbound,
  d.system_messages,
  d.active_conversations
FROM (
  SELECT
    m.account,
    date_trunc('day', m.created_at AT TIME ZONE 'UTC') AS day,
    count(*) FILTER (WHERE m.is_system IS NOT TRUE AND m.is_from_viewer IS NOT TRUE) AS inbound,
    count(*) FILTER (WHERE m.is_system IS NOT TRUE AND m.is_from_viewer IS TRUE) AS outbound,
    count(*) FILTER (WHERE m.is_system IS TRUE) AS system_messages,
    count(DISTINCT m.conversation_id) AS active_conversations
  FROM messages AS m
  WHERE m.created_at IS NOT NULL
  GROUP BY m.account, date_trunc('day', m.created_at AT TIME ZONE 'UTC')
) AS d
LEFT JOIN accounts AS a ON a.account = d.account
LEFT JOIN _sources AS s ON s.source = a.source;

CREATE OR REPLACE VIEW interview_results AS
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
