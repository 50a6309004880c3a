# SPDX-License-Identifier: MIT
"""The manual as data: the names of its sections, and the commands that it shows as examples."""

import re
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent.parent / "packaging" / "man"
ESCAPES = {r"\-": "-", r"\(dq": '"', r"\e": "\\", r"\&": ""}


def plain(text: str) -> str:
    """Text as roff prints it."""
    for escape, character in ESCAPES.items():
        text = text.replace(escape, character)
    return text


def pages(folder: Path = SOURCE) -> list[Path]:
    """Every page, or the template of one of which a part is made when it is built."""
    return sorted(path for path in folder.iterdir()
                  if re.fullmatch(r"\.[1-8]", path.with_suffix("").suffix
                                  if path.suffix == ".in" else path.suffix))


def name(page: Path) -> str:
    """automapost.1 of automapost.1.in."""
    return page.name.removesuffix(".in")


def sections(page: Path) -> dict[str, list[str]]:
    """The titles of the subsections (.Ss) of each section (.Sh)."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith(".Sh "):
            section = plain(line[4:])
            found[section] = []
        elif line.startswith(".Ss "):
            found[section].append(plain(line[4:]))
    return found


def examples(page: Path) -> list[str]:
    """What a line after "$ " (anybody) or "# " (root) shows, with that prompt."""
    return [plain(line[4:]) for line in page.read_text(encoding="utf-8").splitlines()
            if re.match(r"\.Dl [$#] ", line)]


def all_examples() -> list[str]:
    """Each once, in the order of the pages."""
    return list(dict.fromkeys(example for page in pages() for example in examples(page)))
