"""What other readers of CCSDS packets take for a file of packets of one length.

    python benchmarks/peer_telemetry.py FILE OCTETS XTCE

Runs with a Python that holds ccsdspy and space_packet_parser; it prints CPU seconds and versions as
JSON. `bench_telemetry.py` starts it.
"""

import importlib.metadata
import io
import json
import sys
import time
import warnings
from pathlib import Path


def timed(what):
    """Return the CPU seconds of the faster of two runs."""
    seconds = []
    for _ in range(2):
        start = time.process_time()
        what()
        seconds.append(time.process_time() - start)
    return min(seconds)


def main() -> None:
    """Read the file in each way."""
    import ccsdspy
    import space_packet_parser

    warnings.simplefilter("ignore")
    data, octets = Path(sys.argv[1]).read_bytes(), int(sys.argv[2])
    body = ccsdspy.PacketArray(
        name="body", data_type="uint", bit_length=8, array_shape=octets - 6 - 2
    )
    table = ccsdspy.FixedLength([body, ccsdspy.PacketField("checksum", "uint", 16)])
    layout = space_packet_parser.load_xtce(sys.argv[3])

    def by_generator():
        for _ in space_packet_parser.ccsds_generator(io.BytesIO(data)):
            pass

    def by_layout():
        for packet in space_packet_parser.ccsds_generator(io.BytesIO(data)):
            layout.parse_bytes(packet)

    told = {
        "ccsdspy FixedLength": timed(lambda: table.load(io.BytesIO(data))),
        "space_packet_parser headers": timed(by_generator),
        "space_packet_parser by our XTCE": timed(by_layout),
    }
    versions = {
        name: importlib.metadata.version(name) for name in ("ccsdspy", "space_packet_parser")
    }
    print(json.dumps({"cpu_s": told, "versions": versions}))


if __name__ == "__main__":
    main()
