"""Readouts -> Level 0: write one exposure as telemetry, with the faults of a transmission."""

from tessella.stage import stage_arguments


def main(argv=None):
    """Packetize, damage, write."""
    args = stage_arguments(__doc__, argv, "options", "readouts", "telemetry")
    from tessella.io.level0 import write_level0
    from tessella.io.provenance import provenance
    from tessella.io.readouts import read_readouts
    from tessella.randomness import generator
    from tessella.telemetry.encode import packetize
    from tessella.telemetry.faults import damage

    faults = dict(args.options)
    seed, codec = faults.pop("seed"), faults.pop("codec")
    content = read_readouts(args.readouts)
    packets = packetize(content.header, list(content.readouts.values()), codec=codec)
    rng = generator("telemetry faults", seed, *content.header.key.seed)
    origin = provenance("packetize_exposure", args.options, [args.readouts])
    write_level0(args.telemetry, damage(packets, rng, **faults), origin)


if __name__ == "__main__":
    main()
