"""What encoding and decoding telemetry costs, beside other readers and what the machine can do.

    python benchmarks/bench_telemetry.py WORK [--repeat 5] [--peer PYTHON] [--no-exposure]

Makes a detector of 8 resultants (311 MB of pixels), and in WORK a file of all 18 (5.7 GB). Every
checksum is checked by us, by no other reader. Rates are megabytes of decoded pixels a CPU second of
one core; the findings go to benchmarks/results/telemetry.json. With a Python that holds ccsdspy and
space_packet_parser, these read the science packets of two resultants (peer_telemetry.py).
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import imagecodecs
import numpy as np

import tessella
from tessella.instrument.read_patterns import read_patterns
from tessella.io.level0 import map_file
from tessella.models import ExposureHeader, ExposureKey, Readout, Window
from tessella.telemetry.checksum import crc
from tessella.telemetry.codecs import CODECS, RICE
from tessella.telemetry.decode import receive
from tessella.telemetry.encode import encode
from tessella.telemetry.packets import HEADER, OVERHEAD, SCIENCE

HERE = Path(__file__).parent
RESULTS = HERE / "results/telemetry.json"
N_RESULTANTS, N_DETECTORS = 8, 18
KEY = ExposureKey(1, 1, 1, 1, 1, 1, 1)
#: Noise of the pixels [DN]: a sky of 0.3 electrons / s adds little to 5 DN a read.
NOISE_DN = 8.0


def header() -> ExposureHeader:
    """Describe an exposure whose MA table has enough resultants."""
    table = next(p for p in read_patterns().values() if len(p.reads) >= N_RESULTANTS)
    pointing = (10.0, 20.0, 30.0, 10.0, 20.0, 30.0)
    return ExposureHeader(KEY, "F158", table.number, "2027-01-01T00:00:00", "WFI_IMAGE", *pointing)


def make_readout(detector: str, window: Window, n_resultants: int, seed: int = 1) -> Readout:
    """Make noise around the encoding offset."""
    rng = np.random.default_rng(seed)

    def pixels(*shape: int) -> np.ndarray:
        noise = rng.standard_normal(shape, dtype=np.float32)
        return (4000 + NOISE_DN * noise).astype(np.uint16)

    planes = pixels(n_resultants, *window.shape), pixels(n_resultants, window.ny, 128)
    return Readout(detector, window, *planes, pixels(*window.shape), pixels(window.ny, 128), 4000)


def pixel_octets(readout: Readout) -> int:
    """Return the octets of all planes of a readout."""
    names = ("data", "amp33", "reference_read", "reference_amp33")
    return sum(getattr(readout, name).nbytes for name in names)


def fastest(what: Callable[[], object], n_runs: int) -> tuple[float, float]:
    """Return CPU and wall seconds of the run with the least CPU seconds."""
    took = []
    for _ in range(n_runs):
        start = time.process_time(), time.perf_counter()
        what()
        took.append((time.process_time() - start[0], time.perf_counter() - start[1]))
    return min(took)


def row(what: str, megabytes: float, took: tuple[float, float], n_runs: int) -> dict:
    """Describe a measurement."""
    rate = megabytes / took[0]
    print(f"{what:45} {rate:8.0f} MB / CPU s")
    return {
        "what": what,
        "cpu_s": took[0],
        "wall_s": took[1],
        "n_runs": n_runs,
        "megabytes": megabytes,
        "mb_per_cpu_s": rate,
    }


def stream_of(readout: Readout, codec: str) -> bytes:
    """Return all packets of an exposure of one detector."""
    return b"".join(part.octets.tobytes() for part in encode(header(), [readout], codec=codec))


def decode(stream: bytes) -> None:
    """Decode all detectors of a stream and check its ledger."""
    reception = receive([stream])
    for exposure in reception.exposures.values():
        for part in exposure.detectors():
            # As the rule writes them: plane by plane.
            for cells in (part.data, part.amp33, part.reference_read, part.reference_amp33):
                for number in range(len(cells)):
                    cells.plane(number), cells.received(number)
            del part, cells
    reception.ledger().check()


def science_of(stream: bytes, n_packets: int) -> bytes:
    """Return the first science packets, all of one length."""
    reception = receive([stream])
    index = reception.index
    own = np.flatnonzero(index.apid == SCIENCE + 1)[:n_packets]
    return b"".join(stream[index.start[i] : index.stop[i]] for i in own)


def our_rows(readout: Readout, n_runs: int) -> tuple[list[dict], bytes]:
    """Measure both codecs both ways, and what they are made of."""
    megabytes, rows, streams = pixel_octets(readout) / 1e6, [], {}
    for codec in ("none", "rice"):
        streams[codec] = stream_of(readout, codec)
        octets = streams[codec]
        took = fastest(lambda octets=octets: decode(octets), n_runs)
        rows.append(row(f"decode, codec {codec}", megabytes, took, n_runs))
        rows[-1]["stream_megabytes"] = len(octets) / 1e6
        took = fastest(
            lambda codec=codec: [0 for _ in encode(header(), [readout], codec=codec)], n_runs
        )
        rows.append(row(f"encode, codec {codec}", megabytes, took, n_runs))
    plain = streams["none"]
    took = fastest(lambda: crc(plain), n_runs)
    rows.append(row("checksum alone", len(plain) / 1e6, took, n_runs))
    lines = readout.data[0][:2048]
    coded = [CODECS[RICE].encode(line) for line in lines]
    took = fastest(lambda: [CODECS[RICE].decode(one, lines.shape[1]) for one in coded], n_runs)
    rows.append(row("libaec alone, rows", lines.nbytes / 1e6, took, n_runs))
    return rows, plain


def numpy_rows(science: bytes, n_runs: int) -> list[dict]:
    """Measure a bare reshape of packets of one length, which checks nothing, and a copy."""
    octets = 2 * 1024 + OVERHEAD
    megabytes = len(science) / octets * 2048 / 1e6

    def reshape() -> np.ndarray:
        packets = np.frombuffer(science, np.uint8).reshape(-1, octets)
        body = np.ascontiguousarray(packets[:, HEADER.itemsize : -2])
        return body.view(">u2").astype(np.uint16)

    copied = np.frombuffer(science, np.uint8)
    return [
        row("numpy reshape, nothing checked", megabytes, fastest(reshape, n_runs), n_runs),
        row("numpy copy", len(science) / 1e6, fastest(copied.copy, n_runs), n_runs),
    ]


def peer_rows(science: bytes, peer: str, work: Path) -> tuple[list[dict], dict]:
    """Measure other readers."""
    path = work / "science.l0"
    path.write_bytes(science)
    octets = 2 * 1024 + OVERHEAD
    xtce = files("tessella.telemetry") / "packets.xml"
    command = [peer, HERE / "peer_telemetry.py", path, str(octets), str(xtce)]
    told = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    megabytes = len(science) / octets * 2048 / 1e6
    rows = [row(name, megabytes, (s, np.nan), 2) for name, s in told["cpu_s"].items()]
    for entry in rows:
        del entry["wall_s"]
    return rows, told["versions"]


def write_exposure(path: Path) -> int:
    """Write a whole exposure, 18 detectors that alternate; return the octets of its pixels."""
    readouts = []
    first = make_readout("WFI01", Window(), N_RESULTANTS)
    for number in range(N_DETECTORS):
        names = ("data", "amp33", "reference_read", "reference_amp33")
        planes = [np.roll(getattr(first, name), 997 * number, axis=-1) for name in names]
        readouts.append(Readout(f"WFI{number + 1:02d}", Window(), *planes, 4000))
    with path.open("wb") as file:
        for part in encode(header(), readouts, codec="none"):
            part.octets.tofile(file)
    return sum(map(pixel_octets, readouts))


def exposure_row(work: Path) -> dict:
    """Decode a whole exposure in a process of its own, and tell its memory."""
    path, told = work / "exposure.l0", work / "took.json"
    if not path.is_file():
        subprocess.run([sys.executable, __file__, str(work), "--write-exposure"], check=True)
    command = [sys.executable, HERE / "took.py", told, sys.executable, __file__, str(work)]
    subprocess.run([*command, "--decode-exposure"], check=True)
    took = json.loads(told.read_text())
    megabytes = float((work / "exposure_pixels").read_text()) / 1e6
    entry = row(
        f"decode {N_DETECTORS} detectors, codec none", megabytes, (took["cpu_s"], took["wall_s"]), 1
    )
    print(f"  peak memory {took['peak_gb']:.2f} GB of {path.stat().st_size / 1e9:.2f} GB")
    return entry | {"peak_gb": took["peak_gb"], "stream_megabytes": path.stat().st_size / 1e6}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--peer", help="a Python that holds ccsdspy and space_packet_parser")
    parser.add_argument("--no-exposure", action="store_true", help="not the 5.7 GB")
    for name in ("--write-exposure", "--decode-exposure"):
        parser.add_argument(name, action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    if args.write_exposure:
        octets = write_exposure(args.work / "exposure.l0")
        (args.work / "exposure_pixels").write_text(str(octets))
        return
    if args.decode_exposure:
        decode(map_file(args.work / "exposure.l0"))
        return
    small = make_readout("WFI01", Window(0, 0, 4096, 128), 1)
    for codec in ("none", "rice"):  # compiles
        decode(stream_of(small, codec))
    rows, plain = our_rows(make_readout("WFI01", Window(), N_RESULTANTS), args.repeat)
    science = science_of(plain, 2 * 16384)
    rows += numpy_rows(science, args.repeat)
    versions = {"numpy": np.__version__, "imagecodecs": imagecodecs.__version__}
    if args.peer:
        peers, more = peer_rows(science, args.peer, args.work)
        versions |= more
        rows += peers
    del plain, science
    if not args.no_exposure:
        rows.append(exposure_row(args.work))
    told = {
        "machine": {"cores": os.cpu_count(), "system": platform.platform()},
        "software": f"tessella {tessella.__version__}",
        "versions": versions,
        "rows": rows,
    }
    RESULTS.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
