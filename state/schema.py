"""The journal's tables. `events` is the truth; every other table is a view that can be folded again."""

from __future__ import annotations

FORMAT = 1
"""Version of the event table (`PRAGMA user_version`). A newer file is refused, an older one migrated."""

VIEWS = 7
"""Version of the views. Where the file has another one, they are dropped and folded from the events."""

APPLICATION_ID = 0x4A657462  # "Jetb"

EVENTS = """
CREATE TABLE events (
  seq     INTEGER PRIMARY KEY,
  at      INTEGER NOT NULL,   -- wall clock, ms since 1970: for show, never for order
  ticket  TEXT    NOT NULL,   -- '' where it concerns none
  attempt INTEGER NOT NULL,   -- 0 where it concerns none
  type    TEXT    NOT NULL,
  body    TEXT    NOT NULL,   -- canonical JSON
  hash    BLOB    NOT NULL    -- sha256(hash before, this row): a chain
) STRICT;
CREATE INDEX events_of_ticket ON events(ticket, attempt, seq) WHERE ticket != '';
"""

VIEW_TABLES = (
    "meta", "tickets", "specs", "attempts", "nodes", "receipts", "proposals"
)  # fmt: skip

VIEW_DDL = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE tickets (
  id TEXT PRIMARY KEY, path TEXT NOT NULL, kind TEXT NOT NULL DEFAULT '', goal TEXT NOT NULL DEFAULT '',
  persona TEXT NOT NULL DEFAULT '', labels TEXT NOT NULL DEFAULT '[]', needs TEXT NOT NULL DEFAULT '[]',
  revision TEXT NOT NULL DEFAULT '', state TEXT NOT NULL,
  attempt INTEGER NOT NULL DEFAULT 0, progress REAL, eta_low REAL, eta_high REAL,
  green INTEGER NOT NULL DEFAULT 0, red INTEGER NOT NULL DEFAULT 0, unknown INTEGER NOT NULL DEFAULT 0,
  note TEXT NOT NULL DEFAULT '',         -- why it waits, failed or is broken: one line
  asked TEXT NOT NULL DEFAULT '',        -- a wish the engine has yet to carry out: '', cancel, retry, ...
  comment TEXT NOT NULL DEFAULT '',      -- what the person said with it
  removed INTEGER NOT NULL DEFAULT 0,    -- the file is gone
  since INTEGER NOT NULL,                -- wall clock of the last change of state, ms
  changed INTEGER NOT NULL               -- seq of the last event that wrote this row
) STRICT, WITHOUT ROWID;
CREATE INDEX tickets_asked ON tickets(asked) WHERE asked != '';
CREATE INDEX tickets_state ON tickets(state);
CREATE TABLE specs (
  id TEXT PRIMARY KEY, spec TEXT NOT NULL, problems TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE attempts (
  ticket TEXT NOT NULL, number INTEGER NOT NULL, state TEXT NOT NULL, revision TEXT NOT NULL,
  base_ref TEXT NOT NULL, base TEXT NOT NULL, branch TEXT NOT NULL, commit_id TEXT NOT NULL,
  artifact TEXT NOT NULL, started INTEGER NOT NULL, ended INTEGER, why TEXT NOT NULL,
  PRIMARY KEY (ticket, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE nodes (            -- actions; the tasks above them are made of them when they are read
  ticket TEXT NOT NULL, attempt INTEGER NOT NULL, seq INTEGER NOT NULL, task TEXT NOT NULL,
  title TEXT NOT NULL, state TEXT NOT NULL, started INTEGER NOT NULL, ended INTEGER, seconds REAL,
  outcome INTEGER,              -- seq of the event that holds its output and result
  PRIMARY KEY (ticket, attempt, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE receipts (
  ticket TEXT NOT NULL, attempt INTEGER NOT NULL, name TEXT NOT NULL, side TEXT NOT NULL,
  passed INTEGER NOT NULL,
  seq INTEGER NOT NULL,       -- of the event that holds the rest of it
  PRIMARY KEY (ticket, attempt, name, side)
) STRICT, WITHOUT ROWID;
CREATE TABLE proposals (
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, ticket TEXT NOT NULL, attempt INTEGER NOT NULL,
  digest TEXT NOT NULL, summary TEXT NOT NULL, subject TEXT NOT NULL, diff TEXT NOT NULL,
  state TEXT NOT NULL,        -- open, approved, denied, stale, used
  reason TEXT NOT NULL, by TEXT NOT NULL, since INTEGER NOT NULL, decided INTEGER, changed INTEGER NOT NULL,
  seq INTEGER NOT NULL        -- of the event that opened it: the order, whatever the clock said
) STRICT, WITHOUT ROWID;
CREATE INDEX proposals_state ON proposals(state);
CREATE INDEX proposals_ticket ON proposals(ticket, attempt);
"""
