"""How much more CPU two processes take that know nothing of each other: the machine's own share.

    python benchmarks/two_at_once.py

Arithmetic that stays in the cache, and sums over 0.5 GB of memory, five times alone and five times
in two processes at once, in turns: medians of CPU seconds. What two ranks cost more than one begins
here.
"""

import json
import multiprocessing
import time

import numpy as np


def work(kind: str) -> float:
    """Return the CPU seconds of some work."""
    start = time.process_time()
    if kind == "arithmetic":
        values = np.arange(4096.0)
        for _ in range(100_000):
            np.sqrt(values) * values + values
    else:
        values = np.zeros(60_000_000)
        for _ in range(25):
            values += 1.0
    return time.process_time() - start


def main() -> None:
    """Print the medians."""
    with multiprocessing.Pool(2) as pool:
        for kind in ("arithmetic", "memory"):
            alone, both = [], []
            for _ in range(5):
                alone += pool.map(work, [kind])
                both += pool.map(work, [kind] * 2, chunksize=1)
            one, two = float(np.median(alone)), float(np.median(both))
            print(
                json.dumps({"what": kind, "alone_s": one, "two_at_once_s": two, "ratio": two / one})
            )


if __name__ == "__main__":
    main()
