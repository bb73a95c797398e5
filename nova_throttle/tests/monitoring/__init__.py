# SPDX-License-Identifier: Apache-2.0

"""Nova chooses its threading mode first, as for the functional tests."""

from nova_throttle.tests import functional  # noqa: F401
