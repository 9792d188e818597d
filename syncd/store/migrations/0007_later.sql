-- When a message for later leaves; until then it can be cancelled.
ALTER TABLE _outbox ADD COLUMN leaves_at TEXT;
