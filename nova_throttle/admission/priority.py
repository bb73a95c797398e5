# SPDX-License-Identifier: Apache-2.0

"""The priority of a request, and what it is worth.

A class is a head start, and no more: so a request of a lower class is
overtaken by so many younger ones at most, and then by none of them.
"""

import enum

# How many requests the next higher class may start ahead of older ones: more
# than one host has servers, so that in one queue it goes before them all.
HEAD_START = 256


class Priority(enum.IntEnum):
    """A class of requests: a closed set; the smaller starts earlier."""

    # An operator wants it to be next.
    PROMOTED = -1_000_000
    # It leaves a host that is to be empty.
    DRAIN = -1
    NORMAL = 0
    BACKGROUND = 1

    @property
    def word(self) -> str:
        """How it is called."""
        return self.name.lower()


# What a request may be made by an operator, by its word.
CLASSES = {
    each.word: each for each in Priority if each is not Priority.PROMOTED
}


def rank(priority: int, arrival: int) -> int:
    """Return what requests are put in order by, the smallest first.

    :param priority: smaller starts earlier.
    :param arrival: its position among all that were asked for.
    """
    return arrival + priority * HEAD_START


def word(priority: int) -> str:
    """Return how a priority is called; a number if it has no name."""
    try:
        return Priority(priority).word
    except ValueError:
        return str(priority)
