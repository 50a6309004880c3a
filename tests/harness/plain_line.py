# SPDX-License-Identifier: MIT
"""A pytest plugin: ends every run with the one plain line that tests/run adds up."""


def pytest_terminal_summary(terminalreporter):
    count = {name: len(terminalreporter.stats.get(name, []))
             for name in ("passed", "failed", "error", "skipped", "xfailed", "xpassed")}
    failed = count["failed"] + count["error"] + count["xpassed"]
    terminalreporter.write_line(
        f"{count['passed']} passed, {failed} failed, {count['skipped'] + count['xfailed']} skipped")
