-- What the target remembers of itself. The public tables are made from the catalogue, before the indexes and views.
-- No names are qualified: the publisher has the schema on its search path. Nothing here is beyond what Citus,
-- CockroachDB and YugabyteDB have too.

-- Which versions of the mirror's schema this one was brought up to.
CREATE TABLE IF NOT EXISTS _schema_version (
  version bigint NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (version)
);

-- What a kind of source can do, as in the mirror: the views ask here.
CREATE TABLE IF NOT EXISTS _sources (
  source text COLLATE "C" NOT NULL,
  has_viewer boolean NOT NULL,
  names_subjects boolean NOT NULL,
  PRIMARY KEY (source)
);

-- How far each account is published, and by whom: `identity` names the mirror that owns the account here, `place` is
-- the change_id up to which its rows are here, `mark` the line of the mirror's history that this place is on. Up to
-- `fresh_until` no row can be here yet, so rows are copied in without a look; `compared`: what is here and not in the
-- mirror goes when the place has come to the mirror's end. Written in the transaction that writes the rows.
CREATE TABLE IF NOT EXISTS _publish (
  account text COLLATE "C" NOT NULL,
  identity text COLLATE "C" NOT NULL,
  mark text COLLATE "C" NOT NULL,
  place bigint NOT NULL,
  fresh_until bigint NOT NULL,
  compared boolean NOT NULL,
  published_at timestamptz,
  PRIMARY KEY (account)
);
