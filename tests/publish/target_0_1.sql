-- The tables, indexes and views of a target that version 0.1 of the program made.

CREATE TABLE _schema_version (
  version bigint NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (version)
);

-- How far each account is published, and by whom: `identity` names the mirror that owns the account here, `place` is
-- the change_id up to which its rows are here, `mark` the line of the mirror's history that this place is on. Up to
-- `fresh_until` no row can be here yet, so rows are copied in without a look; `compared`: what is here and not in the
-- mirror goes when the place has come to the mirror's end. Written in the transaction that writes the rows.
CREATE TABLE _publish (
  account text COLLATE "C" NOT NULL,
  identity text COLLATE "C" NOT NULL,
  mark text COLLATE "C" NOT NULL,
  place bigint NOT NULL,
  fresh_until bigint NOT NULL,
  compared boolean NOT NULL,
  published_at timestamptz,
  PRIMARY KEY (account)
);

CREATE TABLE accounts (
  account text COLLATE "C" NOT NULL,
  source text COLLATE "C" NOT NULL,
  base_url text COLLATE "C",
  viewer_user_id text COLLATE "C",
  state text COLLATE "C",
  state_since timestamptz,
  first_started_at timestamptz,
  complete_since timestamptz,
  last_success_at timestamptz,
  last_reconciled_at timestamptz,
  retry_at timestamptz,
  last_error text COLLATE "C",
  removed_at timestamptz,
  change_id bigint NOT NULL,
  PRIMARY KEY (account)
);

CREATE TABLE conversations (
  account text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  type text COLLATE "C",
  bucket text COLLATE "C",
  job_id text COLLATE "C",
  proposal_id text COLLATE "C",
  channel_name text COLLATE "C",
  title text COLLATE "C",
  updated_at timestamptz,
  last_message_id text COLLATE "C",
  last_message_at timestamptz,
  unread_count bigint,
  needs_reply_count bigint,
  first_seen_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL,
  change_id bigint NOT NULL,
  gone_at timestamptz,
  extra jsonb,
  PRIMARY KEY (account, id)
);

CREATE TABLE messages (
  account text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  conversation_id text COLLATE "C" NOT NULL,
  job_id text COLLATE "C",
  sender_user_id text COLLATE "C",
  sender_name text COLLATE "C",
  is_from_viewer boolean,
  content text COLLATE "C",
  message_type text COLLATE "C",
  is_system boolean,
  has_unread_flag boolean,
  attachment_count bigint,
  has_audio boolean,
  reaction_count bigint,
  created_at timestamptz,
  updated_at timestamptz,
  edited_at timestamptz,
  first_seen_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL,
  change_id bigint NOT NULL,
  gone_at timestamptz,
  extra jsonb,
  PRIMARY KEY (account, id)
);

CREATE TABLE message_revisions (
  account text COLLATE "C" NOT NULL,
  message_id text COLLATE "C" NOT NULL,
  revision bigint NOT NULL,
  content text COLLATE "C",
  edited_at timestamptz,
  replaced_at timestamptz,
  change_id bigint NOT NULL,
  PRIMARY KEY (account, message_id, revision)
);

CREATE TABLE jobs (
  account text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  title text COLLATE "C",
  status text COLLATE "C",
  created_at timestamptz,
  updated_at timestamptz,
  first_seen_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL,
  change_id bigint NOT NULL,
  gone_at timestamptz,
  extra jsonb,
  PRIMARY KEY (account, id)
);

CREATE TABLE candidates (
  account text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  name text COLLATE "C",
  slug text COLLATE "C",
  title text COLLATE "C",
  country_code text COLLATE "C",
  erased_at timestamptz,
  first_seen_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL,
  change_id bigint NOT NULL,
  gone_at timestamptz,
  extra jsonb,
  PRIMARY KEY (account, id)
);

CREATE TABLE proposals (
  account text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  job_id text COLLATE "C",
  job_title text COLLATE "C",
  candidate_id text COLLATE "C",
  status text COLLATE "C",
  status_label text COLLATE "C",
  bid_amount_usd double precision,
  bid_unit text COLLATE "C",
  interview_score double precision,
  match_score double precision,
  transcript_available boolean,
  created_at timestamptz,
  updated_at timestamptz,
  first_seen_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL,
  change_id bigint NOT NULL,
  gone_at timestamptz,
  extra jsonb,
  PRIMARY KEY (account, id)
);

CREATE TABLE interviews (
  account text COLLATE "C" NOT NULL,
  proposal_id text COLLATE "C" NOT NULL,
  interview_id text COLLATE "C",
  score double precision,
  summary text COLLATE "C",
  first_seen_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL,
  change_id bigint NOT NULL,
  gone_at timestamptz,
  extra jsonb,
  PRIMARY KEY (account, proposal_id)
);

CREATE TABLE interview_messages (
  account text COLLATE "C" NOT NULL,
  proposal_id text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  seq bigint,
  role text COLLATE "C",
  content text COLLATE "C",
  sent_at timestamptz,
  first_seen_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL,
  change_id bigint NOT NULL,
  gone_at timestamptz,
  extra jsonb,
  PRIMARY KEY (account, proposal_id, id)
);

CREATE TABLE failures (
  account text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL,
  subject_id text COLLATE "C" NOT NULL,
  reason text COLLATE "C",
  request_id text COLLATE "C",
  tries bigint,
  first_failed_at timestamptz,
  next_try_at timestamptz,
  change_id bigint NOT NULL,
  PRIMARY KEY (account, kind, subject_id)
);

CREATE TABLE events (
  account text COLLATE "C" NOT NULL,
  id bigint NOT NULL,
  kind text COLLATE "C" NOT NULL,
  conversation_id text COLLATE "C",
  message_id text COLLATE "C",
  proposal_id text COLLATE "C",
  baseline boolean NOT NULL,
  occurred_at timestamptz,
  recorded_at timestamptz,
  logged_at timestamptz,
  data jsonb,
  change_id bigint NOT NULL,
  PRIMARY KEY (account, id)
);

CREATE TABLE outbox (
  account text COLLATE "C" NOT NULL,
  id bigint NOT NULL,
  conversation_id text COLLATE "C" NOT NULL,
  content text COLLATE "C",
  state text COLLATE "C" NOT NULL,
  created_at timestamptz,
  expires_at timestamptz,
  attempted_at timestamptz,
  message_id text COLLATE "C",
  error text COLLATE "C",
  change_id bigint NOT NULL,
  PRIMARY KEY (account, id)
);

CREATE TABLE sync_runs (
  account text COLLATE "C" NOT NULL,
  id bigint NOT NULL,
  kind text COLLATE "C" NOT NULL,
  started_at timestamptz,
  finished_at timestamptz,
  requests bigint,
  rows_written bigint,
  error text COLLATE "C",
  change_id bigint NOT NULL,
  PRIMARY KEY (account, id)
);

-- ---------------------------------------------------------------------------------------------------------------------
-- Indexes: for the views and the reports that stand on them
-- ---------------------------------------------------------------------------------------------------------------------

-- Also where a wait begins is found here: a few steps back from the end, to our last message.
CREATE INDEX messages_thread ON messages (account, conversation_id, created_at, id);
CREATE INDEX conversations_proposal ON conversations (account, proposal_id);
CREATE INDEX conversations_unread ON conversations (account) WHERE unread_count > 0;
CREATE INDEX conversations_needs_reply ON conversations (account) WHERE needs_reply_count > 0;
CREATE INDEX proposals_candidate ON proposals (account, candidate_id);

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
  CASE WHEN a.source = 'openats' AND c.id LIKE 'candidate:%' THEN substr(c.id, 11) ELSE p.candidate_id END
    AS candidate_id,
  coalesce(k.name, CASE WHEN a.source = 'openats' AND c.id LIKE 'candidate:%' THEN c.title END) AS candidate_name,
  c.unread_count,
  c.needs_reply_count,
  c.last_message_id,
  m.created_at AS last_message_at,
  CASE
    WHEN m.id IS NULL THEN NULL
    WHEN m.is_system THEN 'system'
    WHEN m.is_from_viewer THEN 'me'
    ELSE coalesce(CASE WHEN a.source = 'opentrain' THEN k.name END, m.sender_name, m.sender_user_id)
  END AS last_sender,
  m.content AS last_message,
  -- How long the first inbound message after our last one has waited; a clock that runs behind makes no negative wait.
  -- A subquery and no join: who does not ask for it does not pay for it.
  CASE WHEN a.source = 'opentrain' AND coalesce(c.channel_name, '') = '' THEN (
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
LEFT JOIN proposals AS p ON p.account = c.account AND p.id = c.proposal_id
LEFT JOIN jobs AS j ON j.account = c.account AND j.id = coalesce(p.job_id, c.job_id)
LEFT JOIN candidates AS k ON k.account = c.account
  AND k.id = CASE WHEN a.source = 'openats' AND c.id LIKE 'candidate:%' THEN substr(c.id, 11) ELSE p.candidate_id END
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
    WHEN m.is_system THEN 'system'
    WHEN m.is_from_viewer THEN 'me'
    ELSE coalesce(CASE WHEN a.source = 'opentrain' THEN k.name END, m.sender_name, m.sender_user_id)
  END AS sender,
  CASE
    WHEN m.is_system THEN 'system'
    WHEN a.source = 'openats' THEN 'internal'
    WHEN m.is_from_viewer THEN 'out'
    ELSE 'in'
  END AS direction,
  m.content,
  m.edited_at,
  m.gone_at
FROM messages AS m
LEFT JOIN accounts AS a ON a.account = m.account
LEFT JOIN conversations AS c ON c.account = m.account AND c.id = m.conversation_id
LEFT JOIN proposals AS p ON p.account = c.account AND p.id = c.proposal_id
LEFT JOIN candidates AS k ON k.account = p.account AND k.id = p.candidate_id;

-- Of all messages those remain at which the other side begins to speak; we count as having spoken before the first.
-- Then inbound ones and ours alternate, and each inbound one is answered by the next. A filter on a conversation
-- reaches through both windows, as it is among what they are partitioned by.
CREATE VIEW response_times AS
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
JOIN accounts AS a ON a.account = t.account AND a.source = 'opentrain'
LEFT JOIN proposals AS p ON p.account = c.account AND p.id = c.proposal_id
WHERE NOT t.is_ours;

-- `day` is text, as in the mirror: YYYY-MM-DD of UTC.
CREATE VIEW daily_activity AS
SELECT
  d.account,
  to_char(d.day, 'YYYY-MM-DD') AS day,
  CASE WHEN a.source = 'openats' THEN 0 ELSE d.inbound END AS inbound,
  CASE WHEN a.source = 'openats' THEN 0 ELSE d.outbound END AS outbound,
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
LEFT JOIN accounts AS a ON a.account = d.account;

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
  round(extract(epoch FROM statement_timestamp() - a.last_success_at)::numeric, 3)::double precision AS age_seconds,
  a.last_reconciled_at,
  a.retry_at,
  (SELECT count(*) FROM failures AS f WHERE f.account = a.account) AS failures
FROM accounts AS a
WHERE a.removed_at IS NULL;

INSERT INTO _schema_version (version) VALUES (1), (2);
