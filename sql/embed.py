#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turns the SQL files into C: queries.[ch] (one Query each) and schema.c (what migrate applies);
others as they are.

The files stay what psql, pgTAP and EXPLAIN read; C gets their text and, for queries, the number of
parameters, so that a wrong call is caught before it is sent.
"""
import hashlib
import pathlib
import re
import sys

def c_string(text):
    """Lines as adjacent literals; long texts stay readable in the generated file."""
    lines = text.splitlines(keepends=True) or [""]
    return "\n".join(
        '        "' + line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("?", "\\?") + '"'
        for line in lines)

def queries(header, source, paths):
    declarations, definitions = [], []
    for path in paths:
        text = path.read_text()
        statement = "\n".join(l for l in text.splitlines() if not l.startswith("--")).strip()
        if ";" in statement:
            sys.exit(f"{path}: one statement, without a semicolon")
        identifier = "query_" + path.stem.replace("-", "_")
        n_params = max((int(n) for n in re.findall(r"\$(\d+)", statement)), default=0)
        declarations.append(f"extern const Query {identifier};")
        definitions.append(f'const Query {identifier} = {{\n        .name = "{path.stem}",\n'
                           f"        .n_params = {n_params},\n        .text =\n{c_string(statement)},\n}};\n")
    header.write_text('/* Generated from sql/queries by sql/embed.py. */\n#pragma once\n\n#include "db/db.h"\n\n'
                      + "\n".join(declarations) + "\n")
    source.write_text('/* Generated from sql/queries by sql/embed.py. */\n#include "queries.h"\n\n' + "\n".join(definitions))

def check_all_are_listed(paths):
    """The tests apply whatever lies in the folder; what is not listed would only be missing here."""
    missing = set(paths[0].parent.glob("*.sql")) - set(paths)
    if missing:
        sys.exit("not in sql/meson.build: " + ", ".join(sorted(str(path) for path in missing)))

def schema(source, bootstrap, binding, migrations, functions):
    check_all_are_listed(migrations)
    check_all_are_listed(functions)
    out = ['/* Generated from sql/ by sql/embed.py. */\n#include "queue/schema.h"\n']
    out.append(f"const char *const schema_bootstrap =\n{c_string(bootstrap.read_text())};\n")
    out.append(f"const char *const schema_binding =\n{c_string(binding.read_text())};\n")
    out.append("const Migration schema_migrations[] = {")
    for path in migrations:
        version, name = path.stem.split("-", 1)
        text = path.read_text()
        out.append(f'        {{\n        .version = {int(version)},\n        .name = "{name}",\n'
                   f'        .checksum = "{hashlib.sha256(text.encode()).hexdigest()}",\n'
                   f"        .sql =\n{c_string(text)},\n        }},")
    out.append(f"}};\nconst size_t n_schema_migrations = {len(migrations)};\n")
    text = "\n".join(path.read_text() for path in functions)
    out.append(f'const char *const schema_functions_checksum = "{hashlib.sha256(text.encode()).hexdigest()}";')
    out.append(f"const char *const schema_functions =\n{c_string(text)};\n")
    source.write_text("\n".join(out))

def texts(source, paths):
    """Files that are sent as they are: sql_DIRECTORY_NAME."""
    out = ["/* Generated from sql/ by sql/embed.py. */"]
    for path in paths:
        identifier = f"sql_{path.parent.name}_{path.stem}".replace("-", "_")
        out.append(f"extern const char *const {identifier};\n"
                   f"const char *const {identifier} =\n{c_string(path.read_text())};\n")
    source.write_text("\n".join(out))

def main(argv):
    kind, argv = argv[0], [pathlib.Path(a) for a in argv[1:]]
    if kind == "queries":
        queries(argv[0], argv[1], argv[2:])
    elif kind == "texts":
        texts(argv[0], argv[1:])
    else:
        migrations = [p for p in argv[3:] if p.parent.name == "migrations"]
        functions = [p for p in argv[3:] if p.parent.name == "functions"]
        schema(argv[0], argv[1], argv[2], migrations, functions)

main(sys.argv[1:])
