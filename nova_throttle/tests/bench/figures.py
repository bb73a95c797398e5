# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""Figures by name, and what is made of many of them."""

import statistics

Figures = dict[str, float]


def percentiles(name: str, samples: list[float]) -> Figures:
    """Return the median and the 99th percentile of samples."""
    cuts = statistics.quantiles(samples, n=100, method='inclusive')
    return {f'{name}.p50': cuts[49], f'{name}.p99': cuts[98]}


def medians(rounds: list[Figures]) -> Figures:
    """Return the median over rounds of each figure."""
    return {
        name: statistics.median(figures[name] for figures in rounds)
        for name in rounds[0]
    }
