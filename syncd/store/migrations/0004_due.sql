-- Version 4: what is due is found by its kind, so that debts which the token may not pay are not walked through.

DROP INDEX owed_due;
CREATE INDEX owed_due ON _owed (account, kind, due_at);
