-- The public tables, as the contract names them, in PostgreSQL's own types. No names are qualified: the publisher has
-- the schema on its search path.
--
-- Texts are ordered by their bytes (COLLATE "C"), as in the mirror, so that a query sorts alike on both; times are
-- milliseconds of UTC. Many mirrors publish into these tables: every key begins with `account`, also where the mirror's
-- own key is a number. NOT NULL stands where it stands there; there are no foreign keys, as there.
-- Nothing here is beyond what Citus, CockroachDB and YugabyteDB have too.

-- The numbered files of this folder that were applied.
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
