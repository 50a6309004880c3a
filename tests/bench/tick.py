# SPDX-License-Identifier: MIT
"""An empty tick, the thing that happens most: the service finds nothing to do and ends, with what
systemd runs after it; against Node asking one of the questions that it asks."""

import os

from bench import PROGRAMS, Meter, app, build_folder, durable_cluster, migrate, need, report, say
from datetime import datetime, timedelta, timezone

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "25"))
WARM_UP = 2


def fill(connection) -> None:
    """A small site between two posts: what is out is out, and the next ones are for tomorrow."""
    tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
    for i in range(20):
        member = app.member(connection)
        account = app.account(connection, member, "webhook", f"https://hook-{i}.example.test/",
                              "whsec_" + "A" * 32)
        app.post(connection, member, "for tomorrow", tomorrow, [], [account])
        app.post(connection, member, "a draft", None, [], [account], status="DRAFT")
    connection.cursor().execute("VACUUM ANALYZE")


def main() -> None:
    build, node, modules = build_folder(), need("node"), os.environ["BENCH_NODE_FOLDER"]
    scripts = os.path.join(os.path.dirname(os.path.abspath(__file__)), "node")
    with Meter() as meter, durable_cluster() as cluster:
        migrate(cluster, build)
        connection = cluster.connect()
        fill(connection)
        state = meter.folder / "state"
        state.mkdir()
        meter.folder.chmod(0o755)
        state.chmod(0o777)
        ours = {"AUTOMAPOST_DATABASE_URL": cluster.url(user="svc", socket_dir=True),
                "AUTOMAPOST_STATE_DIR": str(state)}
        theirs = {"DATABASE_URL": cluster.url(socket_dir=True), "BENCH_NODE_FOLDER": modules}

        def tick():
            # ExecStart=, then ExecStopPost=, as systemd runs them.
            return (meter.run([build / PROGRAMS["automapost-social-media"]], ours, as_service=True)
                    + meter.run([build / PROGRAMS["automapost-release"]],
                                {**ours, "SERVICE_RESULT": "success"}, as_service=True))

        contenders = {
            "ours": tick,
            "pg": lambda: meter.run([node, f"{scripts}/tick-pg.mjs"], theirs),
            "prisma": lambda: meter.run([node, f"{scripts}/tick-prisma.mjs"], theirs),
        }
        samples = {name: [] for name in contenders}
        for turn in range(WARM_UP + ROUNDS):
            for name, run in contenders.items():
                sample = run()
                if turn >= WARM_UP:
                    samples[name].append(sample)
        connection.close()
    say(f"An empty tick, {ROUNDS} rounds, medians [min-max]")
    for against in ("pg", "prisma"):
        for metric, unit in (("wall", "ms"), ("cpu", "ms"), ("rss", "MiB")):
            report("tick", metric, against, [getattr(s, metric) for s in samples["ours"]],
                   [getattr(s, metric) for s in samples[against]], unit)


if __name__ == "__main__":
    main()
