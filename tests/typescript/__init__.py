# SPDX-License-Identifier: MIT
"""The package of this tree on booted machines."""
