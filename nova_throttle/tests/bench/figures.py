# SPDX-License-Identifier: Apache-2.0

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
