# SPDX-License-Identifier: Apache-2.0

"""What a user can choose of a run."""

import dataclasses
import pathlib


@dataclasses.dataclass(frozen=True)
class Options:
    """What a user can choose of a run.

    :param seed: the first seed.
    :param seeds: how many, one after the other.
    :param minutes: for how long each asks and fails.
    :param load: busy processes beside it.
    :param place: where what is kept of each run goes.
    """

    seed: int = 1
    seeds: int = 1
    minutes: float = 5
    load: int = 0
    place: pathlib.Path = pathlib.Path('chaos')
