# SPDX-License-Identifier: MIT
"""What C sends: every statement of sql/queries is prepared against the migrated schema and has the
parameters that its casts say; and the statements that run every minute walk the indexes that they
were written for, on 100,000 rows.

Says its results in TAP; run by tests/sql/run in a database of its own.
"""

import contextlib
import json
import re
import sys
from collections import deque
from pathlib import Path

import psycopg2

QUERIES = Path(__file__).resolve().parents[2] / "sql" / "queries"
# What these read is the application's, or made by a tool: they are prepared where it is.
POSTS = 100_000


class Tap:
    def __init__(self):
        self.n = 0
        self.failed = 0

    def ok(self, passed: bool, name: str, detail: str = "") -> None:
        self.n += 1
        print(f"{'ok' if passed else 'not ok'} {self.n} - {name}", flush=True)
        if not passed:
            self.failed += 1
            print("\n".join(f"# {line}" for line in detail.splitlines()), flush=True)

    def end(self) -> int:
        print(f"1..{self.n}")
        return 1 if self.failed else 0


def rows(cursor, statement, parameters=None):
    cursor.execute(statement, parameters)
    return cursor.fetchall()


def prepare_all(tap: Tap, cursor) -> None:
    for path in sorted(QUERIES.glob("*.sql")):
        text = path.read_text(encoding="utf-8")
        statement = re.sub(r"^--.*\n", "", text, flags=re.MULTILINE)
        casts = dict(re.findall(r"\$(\d+)::([a-z]+(?:\[\])?)", statement))
        bare = set(re.findall(r"\$(\d+)(?!\d|::)", statement)) - set(casts)
        # $ of a dollar quote or of a regular expression has no digit behind it.
        numbers = sorted(map(int, casts))
        tap.ok(text.startswith("--") and not bare and numbers == list(range(1, len(numbers) + 1)),
               f"{path.name}: says what it returns; $1 to ${len(numbers)} are cast",
               f"without a cast: {sorted(bare)}; cast: {numbers}")
        try:
            cursor.execute(f"PREPARE q AS {statement}")
        except psycopg2.Error as error:
            tap.ok(False, f"{path.name}: is a statement of this schema", str(error))
            continue
        found = rows(cursor, "SELECT parameter_types::text[] FROM pg_prepared_statements"
                             " WHERE name = 'q'")[0][0]
        wanted = [casts[str(n)].replace("timestamptz", "timestamp with time zone")
                  for n in numbers]
        tap.ok(found == wanted,
               f"{path.name}: is a statement of this schema, with these parameters",
               f"found {found}, wanted {wanted}")
        cursor.execute("DEALLOCATE q")


def nodes(plan: dict):
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def plan_of(cursor, statement, parameters=None) -> dict:
    return rows(cursor, "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + statement, parameters)[0][0][0]


def indexes(plan: dict) -> set:
    return {node["Index Name"] for node in nodes(plan["Plan"]) if "Index Name" in node}


def inner_plans(connection, cursor, statement, parameters) -> list:
    """The plans of the statements inside functions, as auto_explain says them."""
    cursor.execute("LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0;"
                   "SET auto_explain.log_nested_statements = on; SET auto_explain.log_analyze = on;"
                   "SET auto_explain.log_buffers = on;"
                   "SET auto_explain.log_format = json; SET auto_explain.log_level = notice;"
                   "SET client_min_messages = notice")
    connection.notices = deque()         # a list would keep the last 50 alone
    cursor.execute(statement, parameters)
    found = cursor.fetchall() if cursor.description else []
    cursor.execute("SET auto_explain.log_min_duration = -1; SET client_min_messages = warning")
    plans = [json.loads(notice[notice.index("{"):]) for notice in connection.notices
             if "plan:" in notice]
    return [found, plans]


def touching(plans: list, relation: str) -> list:
    """The nodes of these plans that read a table, by scan or by index."""
    return [node for plan in plans for node in nodes(plan["Plan"])
            if node.get("Relation Name") == relation and "Scan" in node["Node Type"]]


def describe(found: list) -> str:
    return "\n".join(f"{node['Node Type']} {node.get('Index Name', '')}"
                     f" {node.get('Index Cond', '')} rows {node.get('Actual Rows')}"
                     f" filtered {node.get('Rows Removed by Filter', 0)}" for node in found)


def due_posts(tap: Tap, connection, cursor) -> None:
    cursor.execute("""
        SELECT t.member(1), t.account(1, 1, 'webhook');
        INSERT INTO posts (id, "userId", content, "scheduledTo", status, "authProviderIds")
        SELECT t.id(1000 + i)::uuid, t.id(1)::uuid, 'text',
            now() + (i - %s * 0.9) * interval '1 min',
            CASE WHEN i %% 10 = 0 THEN 'DRAFT'::"PostStatus" ELSE 'SCHEDULED' END, ARRAY[t.id(1)]
        FROM generate_series(1, %s) i;
        ANALYZE posts""", (POSTS, POSTS))
    plan = plan_of(cursor, "SELECT * FROM automapost.app_due_posts(now() - interval '3 h', now())")
    tap.ok(indexes(plan) == {"posts_scheduledTo_idx"},
           "app_due_posts is inlined and walks the application's scheduledTo index alone",
           json.dumps(plan, indent=1))
    tap.ok(plan["Plan"]["Actual Rows"] == 162, "and finds the SCHEDULED of these 180 minutes",
           json.dumps(plan, indent=1))

    # Before anything is collected: with a due job at hand nobody asks for posts.
    text = (QUERIES / "tick.sql").read_text(encoding="utf-8")
    statement = (text.replace("$1::text", "'social-media'")
                 .replace("$2::text[]", "ARRAY['social-media-post']"))
    found, plans = inner_plans(connection, cursor, statement, None)
    scans = touching(plans, "posts")
    tap.ok(bool(scans) and {node.get("Index Name") for node in scans} == {"posts_scheduledTo_idx"},
           "every tick's question whether a post is due walks it too", describe(scans))

    text = (QUERIES / "collect-social-media-post.sql").read_text(encoding="utf-8")
    statement = text.replace("$1::jsonb", "NULL::jsonb").replace("$2::bigint", "500")
    found, plans = inner_plans(connection, cursor, statement, None)
    tap.ok(found[0][0] == 162, "collect takes the same posts", str(found))
    scans = touching(plans, "posts")
    tap.ok(bool(scans) and all(node["Node Type"] != "Seq Scan" for node in scans)
           and any(node.get("Index Name") == "posts_scheduledTo_idx" for node in scans),
           "collect reads posts by the scheduledTo index and by id, never from end to end",
           describe(scans))


def claim(tap: Tap, connection, cursor) -> None:
    """100,000 jobs of priorities from 100 on are due tomorrow, three of priority 5 now."""
    cursor.execute("""
        SELECT t.worker('w1');
        SELECT t.change($f$
            INSERT INTO automapost.job_queue (job_type, priority, scheduled_for)
            SELECT 'plain', 100 + i %% 100, now() + interval '1 day' FROM generate_series(1, %s) i;
            INSERT INTO automapost.job_queue (job_type, priority, scheduled_for)
            SELECT 'plain', 5, now() FROM generate_series(1, 3) i
        $f$);
        ANALYZE automapost.job_queue""", (POSTS,))
    text = (QUERIES / "claim-jobs.sql").read_text(encoding="utf-8")
    statement = (text.replace("$1::text", "'w1'").replace("$2::text", "'b1'", 1)
                 .replace("$3::text[]", "ARRAY['plain']").replace("$4::bigint", "10"))
    found, plans = inner_plans(connection, cursor, statement, None)
    tap.ok(len(found) == 3, "the three that are due are given", str(found))
    scans = touching(plans, "job_queue")
    # Entries that an index condition passes over are counted nowhere but in the blocks read. The
    # whole index is some 600; from end to end for each of 101 priorities it would be 60,000.
    blocks = sum(node["Shared Hit Blocks"] + node["Shared Read Blocks"] for node in scans)
    tap.ok(any(node.get("Index Name") == "job_queue_due" for node in scans)
           and not any(node["Node Type"] == "Seq Scan" for node in scans) and blocks < 3000,
           "claim walks its index by priorities: future rows of higher ones cost nothing",
           f"{blocks} blocks read\n{describe(scans)}")


def main() -> int:
    tap = Tap()
    with contextlib.closing(psycopg2.connect("", application_name="queries")) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        prepare_all(tap, cursor)
        tap.ok(rows(cursor, "SHOW enable_seqscan")[0][0] == "on", "the planner chooses freely")
        due_posts(tap, connection, cursor)
        claim(tap, connection, cursor)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
