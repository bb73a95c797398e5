# SPDX-License-Identifier: Apache-2.0

"""Run the tests once, in a process of its own, and note each outcome.

    python -m nova_throttle.tests.upstream.worker plain|throttled OUT [ID ...]

The outcomes are written to OUT; tests that are in there are not run. With an
ID, only tests whose ids begin so are run.
"""

import pathlib
import sys
import unittest

# First: it chooses the threading mode.
from nova_throttle.tests import functional  # noqa: F401, H306
from nova_throttle.demo import sqlite  # noqa: H306
from nova_throttle.tests.upstream import outcomes
from nova_throttle.tests.upstream import selection
from nova_throttle.tests.upstream import standin


class Outcomes(unittest.TestResult):
    """Notes what became of each test: passed, skipped, or why it failed."""

    def __init__(self, out: pathlib.Path) -> None:
        super().__init__()
        self._out = out
        self.found: dict[str, str] = {}

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        outcomes.note(self._out, test.id(), outcomes.NEVER_ENDED)
        print(test.id(), end=' ', flush=True)

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        outcome = self.found[test.id()]
        outcomes.note(self._out, test.id(), outcome)
        print(outcome.splitlines()[0], flush=True)

    def addSuccess(self, test: unittest.TestCase) -> None:
        self.found[test.id()] = 'passed'

    def addExpectedFailure(self, test, err=None, details=None) -> None:
        self.found[test.id()] = 'passed'

    def addSkip(self, test, reason=None, details=None) -> None:
        self.found[test.id()] = 'skipped'

    def addError(self, test, err=None, details=None) -> None:
        self.found[test.id()] = 'failed\n' + _text(self, test, err, details)

    addFailure = addError
    addUnexpectedSuccess = addError


def _text(result, test, err, details) -> str:
    if err is not None:
        return result._exc_info_to_string(err, test)
    return '\n'.join(
        f'{name}: {content.as_text()}' for name, content in details.items()
    )


def main() -> None:
    mode, out, *ids = sys.argv[1:]
    path = pathlib.Path(out)
    done = outcomes.read(path)
    tests = selection.load()
    if mode == 'throttled':
        standin.put_in()
    result = Outcomes(path)
    for test in tests:
        if test.id() in done:
            continue
        if ids and not test.id().startswith(tuple(ids)):
            continue
        if mode == 'throttled':
            standin.throttle(test)
        with sqlite.PatientSqlite():
            test.run(result)


if __name__ == '__main__':
    main()
