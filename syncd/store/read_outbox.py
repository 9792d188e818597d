"""What the commands that write look up first: the outbox, and whose a proposal is."""

from syncd.store.read import Database, Row

_TALK = """
SELECT * FROM (
  SELECT * FROM thread WHERE account = :account AND conversation_id = :id AND gone_at IS NULL
  ORDER BY sent_at DESC, message_id DESC LIMIT :limit
) ORDER BY sent_at, message_id
"""


def read_outbox(database: Database, account: str | None, limit: int | None) -> tuple[list[Row], int]:
    """Messages of the outbox with their conversation's name, newest first, and how many there are without `limit`."""
    words = {"account": account, "limit": -1 if limit is None else limit}
    rows = database.execute(
        "SELECT o.id, o.account, o.conversation_id, o.state, o.content, o.created_at, o.expires_at, o.attempted_at,"
        " o.message_id, o.error, coalesce(i.title, i.candidate_name, i.job_title) AS conversation"
        " FROM outbox AS o LEFT JOIN inbox AS i ON i.account = o.account AND i.conversation_id = o.conversation_id"
        " WHERE :account IS NULL OR o.account = :account ORDER BY o.id DESC LIMIT :limit",
        words,
    ).fetchall()
    total = database.execute(
        "SELECT count(*) AS total FROM outbox WHERE :account IS NULL OR account = :account", words
    ).fetchone()["total"]
    return rows, int(total)


def read_outgoing_account(database: Database, id_: int) -> str | None:
    """Whose message of the outbox that is."""
    row = database.execute("SELECT account FROM outbox WHERE id = :id", {"id": id_}).fetchone()
    return str(row["account"]) if row else None


def read_last_words(database: Database, account: str, conversation_id: str, limit: int) -> list[Row]:
    """The last messages of a conversation, oldest first, as the view `thread` has them."""
    return database.execute(_TALK, {"account": account, "id": conversation_id, "limit": limit}).fetchall()


def read_proposal_holders(database: Database, proposal_id: str) -> list[str]:
    """The accounts that hold a proposal of this id."""
    query = "SELECT account FROM proposals WHERE id = :id ORDER BY account"
    return [row["account"] for row in database.execute(query, {"id": proposal_id})]


def read_writable_accounts(database: Database) -> list[str]:
    """The accounts whose source takes messages."""
    query = "SELECT account FROM accounts WHERE removed_at IS NULL AND source = 'opentrain' ORDER BY account"
    return [row["account"] for row in database.execute(query)]


def read_proposal_ids(database: Database, beginning: str, limit: int) -> list[tuple[str, str]]:
    """Proposals whose id begins so, the newest first, each with its candidate's name."""
    query = (
        "SELECT p.id, coalesce(c.name, '') AS name FROM proposals AS p"
        " LEFT JOIN candidates AS c ON c.account = p.account AND c.id = p.candidate_id"
        " WHERE substr(p.id, 1, length(:beginning)) = :beginning ORDER BY p.created_at DESC LIMIT :limit"
    )
    rows = database.execute(query, {"beginning": beginning, "limit": limit})
    return [(row["id"], row["name"]) for row in rows]


def read_outgoing_ids(database: Database, beginning: str, limit: int) -> list[tuple[str, str]]:
    """Messages of the outbox whose number begins so and that were not sent, the newest first, each with its state."""
    query = (
        "SELECT id, state FROM outbox WHERE state <> 'sent'"
        " AND substr(id, 1, length(:beginning)) = :beginning ORDER BY id DESC LIMIT :limit"
    )
    rows = database.execute(query, {"beginning": beginning, "limit": limit})
    return [(str(row["id"]), row["state"]) for row in rows]
