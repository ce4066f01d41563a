"""versus.py: every allocator against the virtual best: for each task the peer that costs least.

The virtual best is chosen by the medians of the odd rounds (the first, the third, …) and costs its median of the even ones:
chosen and timed in the same rounds, the luckiest of several equals would look better than any of them is. For the same reason
all others are compared by their medians of the even rounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from statistics import geometric_mean, median

DRAWS = 1000
SEED = "virtual best"
Samples = dict[str, list[float]]  # by allocator; one for each round


@dataclass(frozen=True)
class Versus:
    """One task: who the virtual best is, what it costs, and by allocator the ratio to it; draws: the bootstrap's ratios."""

    best: str
    cost: float
    ratios: dict[str, float]
    draws: dict[str, list[float]]

    def interval(self, allocator: str) -> tuple[float, float]:
        return middle(self.draws[allocator])


def middle(draws: list[float]) -> tuple[float, float]:
    """What 95 % of them are within."""
    ordered = sorted(draws)
    cut = len(ordered) * 25 // 1000
    return ordered[cut], ordered[-1 - cut]


def virtual_best(samples: Samples, peers: list[str], choosing: list[int], timing: list[int]) -> tuple[str, dict[str, float]]:
    """The peer that costs least in some rounds, and everyone's ratio to it in others."""
    best = min(peers, key=lambda peer: median([samples[peer][at] for at in choosing]))
    medians = {name: median([values[at] for at in timing]) for name, values in samples.items()}
    return best, {name: value / medians[best] for name, value in medians.items()}


def versus(samples: Samples, peers: list[str], seed: str = "") -> Versus | None:
    """Rounds are drawn for the bootstrap, not samples: what slows a round down slows everyone. And in every draw the best is
    chosen again. None without a peer, an even round, or a cost to divide by."""
    rounds = max(map(len, samples.values()), default=0)
    samples = {name: values for name, values in samples.items() if len(values) == rounds}  # of who never failed
    peers = [peer for peer in peers if peer in samples]
    if not peers or rounds < 2 or min(min(values) for values in samples.values()) <= 0:
        return None
    odd, even = list(range(0, rounds, 2)), list(range(1, rounds, 2))
    best, ratios = virtual_best(samples, peers, odd, even)
    random = Random(SEED + seed)
    draws: dict[str, list[float]] = {name: [] for name in samples}
    for _ in range(DRAWS):
        _, drawn = virtual_best(samples, peers, random.choices(odd, k=len(odd)), random.choices(even, k=len(even)))
        for name, ratio in drawn.items():
            draws[name].append(ratio)
    return Versus(best, median(samples[best][at] for at in even), ratios, draws)


@dataclass(frozen=True)
class Mean:
    """The geometric mean of an allocator's ratios, its interval, and of how many tasks."""

    ratio: float
    interval: tuple[float, float]
    tasks: int


def mean(tasks: list[Versus], allocator: str) -> Mean | None:
    having = [task for task in tasks if allocator in task.ratios]
    if not having:
        return None
    draws = [geometric_mean(ratios) for ratios in zip(*(task.draws[allocator] for task in having))]
    return Mean(geometric_mean(task.ratios[allocator] for task in having), middle(draws), len(having))
