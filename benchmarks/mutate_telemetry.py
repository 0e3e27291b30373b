"""Decode ten thousand streams with faults of all kinds, and tell what was lost.

    python benchmarks/mutate_telemetry.py [--streams 10000] [--first 0] [--seed 7]

A quarter of the streams is compressed. Each has 1 to 20 faults: flipped bits, octets overwritten,
packets dropped, repeated, reordered, of other identifiers, with lying lengths, garbage, counts
that wrap, a clock that jumps, cut ends. Exposures are decoded a detector at a time. The findings
go to benchmarks/results/telemetry_mutations.json.
"""

import argparse
import json
import operator
import os
import platform
import sys
from pathlib import Path

import numpy as np

import tessella
from tessella.telemetry.checksum import crc

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from telemetry.mutations import make_original, mutate, outcome  # noqa: E402

RESULTS = ROOT / "benchmarks/results/telemetry_mutations.json"
#: Of so many streams the memory is looked at, which makes them slower.
_LOOK_EVERY = 10


def study(first: int, stop: int, seed: int) -> dict:
    """Mutate, decode and hold each stream of a range against what was sent."""
    originals = {
        (codec, is_wide): make_original(codec, is_wide)
        for codec in ("none", "rice")
        for is_wide in (False, True)
    }
    for original in originals.values():  # compiles
        outcome(original, mutate(original, np.random.default_rng(0), 1))
    sums = dict.fromkeys(
        ("streams", "faults", "megabytes", "untouched_packets_lost", "pieces_rejected"), 0
    )
    lists = {
        "crashed_or_unbalanced": [],
        "streams_that_lost_more_than_two_a_fault": [],
        "streams_with_wrong_pixels": [],
    }
    most = {"slowest_s_per_mb": 0.0, "peak_over_stream_none": 0.0, "peak_over_stream_rice": 0.0}
    for number in range(first, stop):
        codec, looks = ("none", "rice")[number % 4 == 0], number // 4 % _LOOK_EVERY == 0
        original = originals[codec, looks]
        rng = np.random.default_rng([seed, number])
        n_faults = int(rng.integers(1, 21))
        stream = mutate(original, rng, n_faults)
        try:
            found = outcome(original, stream, looks)
        except Exception as error:  # whatever comes is counted
            lists["crashed_or_unbalanced"].append(f"{number}: {type(error).__name__}: {error}")
            continue
        counted = (1, n_faults, found.n_octets / 1e6, found.n_lost, found.n_fragments)
        for name, n in zip(sums, counted, strict=True):
            sums[name] += n
        if found.n_lost > 2 * n_faults:
            lists["streams_that_lost_more_than_two_a_fault"].append(number)
        if found.n_wrong:
            lists["streams_with_wrong_pixels"].append({"stream": number, "pixels": found.n_wrong})
        name = f"peak_over_stream_{codec}" if looks else "slowest_s_per_mb"
        value = (
            found.peak_octets / found.n_octets if looks else found.seconds / found.n_octets * 1e6
        )
        most[name] = max(most[name], value)
        if number % 500 == 499:
            print(f"{number + 1} streams, {sums['untouched_packets_lost']} lost", flush=True)
    return {**sums, **lists, **most}


def added(one: dict, other: dict) -> dict:
    """Join the findings of two ranges."""
    joined = {}
    for name, value in one.items():
        joins = max if name.startswith(("slowest", "peak")) else operator.add
        joined[name] = joins(value, other[name])
    return joined


def unseen(n_packets: int, seed: int) -> dict:
    """Tell how often random octets pass the checksum."""
    rng = np.random.default_rng(seed)
    passed = 0
    for _ in range(n_packets // 10000):
        noise = rng.integers(0, 256, (10000, 64), dtype=np.uint8)
        passed += sum(crc(row) == 0 for row in noise)
    return {"packets": n_packets, "passed": passed, "expected": n_packets / 65536}


def main() -> None:
    """Study and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=10000)
    parser.add_argument("--first", type=int, default=0, help="go on after so many, and add")
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    found = study(args.first, args.first + args.streams, args.seed)
    if args.first:
        before = json.loads(RESULTS.read_text())["findings"]
        found = added({name: before[name] for name in found}, found)
    passed = len(found["streams_with_wrong_pixels"])
    told = {
        "machine": {"cores": os.cpu_count(), "system": platform.platform()},
        "software": f"tessella {tessella.__version__}, numpy {np.__version__}",
        "seed": args.seed,
        "findings": found,
        "wrong_share_of_rejected_pieces": passed / max(found["pieces_rejected"], 1),
        "random_octets": unseen(2_000_000, args.seed),
    }
    RESULTS.write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
