"""Level 0 -> readouts: decode one exposure from the telemetry files that hold it."""

from pathlib import Path

from tessella.stage import stage_arguments


def main(argv=None):
    """Find the exposure, decode it, check the ledger, write both."""
    args = stage_arguments(
        *(__doc__, argv, "options", "exposure:str", "telemetry*", "holdings:json"),
        *("readouts", "ledger"),
    )
    from tessella.io.holdings import stretches_of
    from tessella.io.ledgers import key_of, write_ledger
    from tessella.io.level0 import Level0Files
    from tessella.io.provenance import provenance
    from tessella.io.readouts import write_decoded
    from tessella.models import Window
    from tessella.telemetry.decode import receive

    files = [str(path) for path in args.telemetry]
    windows = dict.fromkeys(args.options["detectors"], Window(**args.options["window"]))
    key = key_of(args.exposure)
    parts = stretches_of(args.telemetry, key, Path(args.holdings)) if args.holdings else None
    reception = receive(Level0Files(files), key, windows, parts)
    origin = provenance("decode_telemetry", {"exposure": args.exposure, **args.options}, files)
    write_decoded(args.readouts, reception.exposure(" ".join(files)), origin)
    ledger = reception.ledger()
    ledger.check()
    write_ledger(args.ledger, ledger, files, origin)


if __name__ == "__main__":
    main()
