# SPDX-License-Identifier: MIT
"""The files of packaging/typescript as an application has them."""
