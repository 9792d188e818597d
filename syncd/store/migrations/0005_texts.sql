-- Version 5: the writer hands new texts to the search index itself, instead of noting each one to read it again.
--
-- What is changed or removed is still noted by triggers, as where it stood in the index must be known.

DROP TRIGGER messages_search_insert;
DROP TRIGGER interview_messages_search_insert;
