"""Level 0 -> readouts: decode one exposure from the telemetry files that hold it."""

from tessella.stage import stage_arguments


def main(argv=None):
    """Find the exposure, decode it, check the ledger, write both."""
    args = stage_arguments(__doc__, argv, "exposure:str", "telemetry*", "readouts", "ledger")
    from tessella.errors import DataError
    from tessella.io.level0 import read_level0, write_ledger, write_readouts
    from tessella.io.provenance import provenance
    from tessella.telemetry.decode import decode
    from tessella.telemetry.inventory import inventory

    streams = [read_level0(path) for path in args.telemetry]
    keys = {found.header.key.name: found.header.key for found in inventory(streams)}
    name = args.exposure
    if name not in keys:
        raise DataError(
            f"{' '.join(map(str, args.telemetry))}: exposure {name} is not announced there; "
            f"there are {', '.join(keys) or 'no exposures'}"
        )
    exposures, ledger = decode(streams, only=keys[name])
    ledger.check()
    exposure = exposures[keys[name]]
    origin = provenance("decode_telemetry", {"exposure": name}, args.telemetry)
    readouts = exposure.readouts.values()
    write_readouts(
        args.readouts, exposure.header, readouts, origin, exposure.received, exposure.problems
    )
    write_ledger(args.ledger, ledger, origin)


if __name__ == "__main__":
    main()
