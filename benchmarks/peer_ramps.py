"""What stcal's likelihood fit makes of ramps: slopes, errors and jumps, alone, without a pipeline.

Runs with a Python that holds stcal 1.20, not with the project's:

    PYTHON benchmarks/peer_ramps.py RAMPS.npz OUT.npz

RAMPS.npz is what compare_ramps.py writes.
"""

import sys
import time
from types import SimpleNamespace

import numpy as np
from stcal.ramp_fitting.likely_fit import likely_ramp_fit

DO_NOT_USE, SATURATED, JUMP_DET = 1, 2, 4


def main(ramps: str, out: str) -> None:
    """Fit and write."""
    given = np.load(ramps)
    shape = given["data"].shape
    first, n_reads = np.cumsum([1, *given["n_reads"]]), given["n_reads"]
    times = [
        list(np.arange(start, start + n) * float(given["frame_time"]))
        for start, n in zip(first, n_reads, strict=False)
    ]
    ramp = SimpleNamespace(
        data=given["data"][np.newaxis],
        groupdq=np.zeros((1, *shape), np.uint8),
        pixeldq=np.zeros(shape[1:], np.uint32),
        read_pattern=times,
        zeroframe=None,
        average_dark_current=np.zeros(shape[1:]),
        rejection_threshold=float(given["threshold"]),
        flags_do_not_use=DO_NOT_USE,
        flags_saturated=SATURATED,
        flags_jump_det=JUMP_DET,
    )
    start = time.process_time()
    # It takes the noise of a difference of two reads.
    image, _, _ = likely_ramp_fit(ramp, np.sqrt(2) * given["read_noise"], given["gain"])
    taken = time.process_time() - start
    hit = (ramp.groupdq[0] & JUMP_DET) != 0
    np.savez(out, slope=image["slope"], error=image["err"], hit=hit, cpu_s=taken)


if __name__ == "__main__":
    main(*sys.argv[1:])
