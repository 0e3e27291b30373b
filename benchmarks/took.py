"""Run a command, and tell what it took.

    python benchmarks/took.py OUT.json COMMAND ...

writes CPU seconds of it and of all its processes, wall seconds, and the peak memory of the largest
process [GiB]. A process of its own: what a large one starts would inherit its peak.
"""

import json
import os
import sys
import time
from pathlib import Path


def main() -> None:
    """Run, wait, write, and end as the command did."""
    told, command = Path(sys.argv[1]), sys.argv[2:]
    start = time.perf_counter()
    process = os.posix_spawnp(command[0], command, os.environ)
    _, status, used = os.wait4(process, 0)
    content = {
        "cpu_s": used.ru_utime + used.ru_stime,
        "wall_s": time.perf_counter() - start,
        "peak_gb": used.ru_maxrss / 2**20,
    }
    told.write_text(json.dumps(content))
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
