# SPDX-License-Identifier: MIT
"""Real counterparts for the tests: a throw-away PostgreSQL, a Bluesky PDS, a Mastodon-compatible
server, an OAuth 2 token endpoint and pgbouncer, each started by the test that needs it and gone
when that test ends. Runs with Debian's own python3 and its python3-psycopg2."""
