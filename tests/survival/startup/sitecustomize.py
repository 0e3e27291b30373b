"""Read by each Python that has this folder in PYTHONPATH: kills the chosen one at a change.

KILL names the process by words of its command line, KILL_BEFORE says before which change below
KILL_BELOW, and KILL_GROUP that all processes of its group die with it.
"""

import os
import sys

if "KILL" in os.environ and os.environ["KILL"] in " ".join(sys.orig_argv):
    from survival.changes import Changes

    n, group = int(os.environ["KILL_BEFORE"]), "KILL_GROUP" in os.environ
    Changes(os.environ["KILL_BELOW"]).kill_before(n, group)
