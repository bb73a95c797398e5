# SPDX-License-Identifier: Apache-2.0

"""A fleet of hosts on a bad bus, in one process and on a virtual clock.

Both halves of the production code run as they are; hosts, bus, database and
guests are simulated. The same scenario and seed give the same steps.
"""
