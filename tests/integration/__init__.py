# SPDX-License-Identifier: MIT
"""The real binaries against a real PostgreSQL and receivers that remember."""
