"""Decode ten thousand streams with faults of all kinds, and tell what was lost.

    python benchmarks/mutate_telemetry.py [--streams 10000] [--first 0] [--seed 7]

A quarter of the streams is compressed. Each has 1 to 20 faults: flipped bits, octets overwritten,
packets dropped, repeated, reordered, of other identifiers, with lying lengths, garbage, counts
that wrap, a clock that jumps, cut ends. Exposures are decoded a detector at a time and their planes
made one after the other; each stream twice: timed, and with a look at the memory. The findings go
to benchmarks/results/telemetry_mutations.json.
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
#: One of so many streams has ten detectors instead of four.
_WIDE_EVERY = 10
#: What is taken besides the stream's share: a plane of the largest detector and its flags, 0.49 MB.
_CONSTANT = 3 * 1280 * 128
#: Most seconds a megabyte, and octets besides the stream in units of it; each with the megabytes of
#: that stream and its number.
_MOST = ("slowest_cpu", "slowest_wall", "peak_none", "peak_rice")


def study(first: int, stop: int, seed: int) -> dict:
    """Mutate, decode and hold each stream of a range against what was sent."""
    originals = {
        (codec, is_wide): make_original(codec, is_wide)
        for codec in ("none", "rice")
        for is_wide in (False, True)
    }
    for original in originals.values():  # compiles
        for looks in (False, True):
            outcome(original, mutate(original, np.random.default_rng(0), 20), looks)
    sums = dict.fromkeys(
        ("streams", "faults", "megabytes", "untouched_packets_lost", "pieces_rejected"), 0
    )
    lists = {
        "crashed_or_unbalanced": [],
        "streams_that_lost_more_than_two_a_fault": [],
        "streams_with_wrong_pixels": [],
        "streams_above_four_times_their_octets": [],
    }
    most = dict.fromkeys(_MOST, [0.0])
    for number in range(first, stop):
        codec = ("none", "rice")[number % 4 == 0]
        original = originals[codec, number // 4 % _WIDE_EVERY == 0]
        rng = np.random.default_rng([seed, number])
        n_faults = int(rng.integers(1, 21))
        stream = mutate(original, rng, n_faults)
        try:
            found = outcome(original, stream)
            peak = outcome(original, stream, looks_at_memory=True).peak_octets
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
        if peak > 4 * found.n_octets + _CONSTANT:
            lists["streams_above_four_times_their_octets"].append(number)
        megabytes = found.n_octets / 1e6
        values = {
            "slowest_cpu": found.cpu_seconds / megabytes,
            "slowest_wall": found.seconds / megabytes,
            f"peak_{codec}": peak / found.n_octets,
        }
        for name, value in values.items():
            most[name] = max(most[name], [value, megabytes, number])
        if number % 500 == 499:
            lost, slowest = sums["untouched_packets_lost"], most["slowest_cpu"]
            print(f"{number + 1} streams, {lost} lost, slowest {slowest}", flush=True)
    return {**sums, **lists, **most}


def added(one: dict, other: dict) -> dict:
    """Join the findings of two ranges."""
    joined = {}
    for name, value in one.items():
        joins = max if name in _MOST else operator.add
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
