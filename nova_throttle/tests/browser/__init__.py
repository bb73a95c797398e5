# SPDX-License-Identifier: Apache-2.0

"""What is drawn, in a real browser: ``tox -e browser``."""
