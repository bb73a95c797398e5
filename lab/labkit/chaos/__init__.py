# SPDX-License-Identifier: Apache-2.0

"""Random live migrations under random faults, from one seed.

What is asked and what fails is made before anything starts (schedule); what a
fault does and how it is healed is a table (faults). Which server or record
is meant depends on what there is when its time comes, as in life.
"""
