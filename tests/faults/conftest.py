"""Ends a campaign of faults with its table."""

from __future__ import annotations

import pytest

from tests.faults.ledger import FILE, ledger


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if ledger.tallies:
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_text(ledger.table() + "\n")
        terminalreporter.section(f"faults, also in {FILE}")
        terminalreporter.write_line(ledger.table())
