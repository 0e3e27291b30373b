"""Readouts -> Level 1: write the official file of each detector of one exposure."""

from tessella.stage import stage_arguments


def main(argv=None):
    """Assemble and write each detector's ramp."""
    args = stage_arguments(__doc__, argv, "readouts", "ramps*")
    from tessella.instrument.read_patterns import read_patterns
    from tessella.io.level0 import read_readouts
    from tessella.io.level1 import write_ramp
    from tessella.io.provenance import provenance
    from tessella.telemetry.assemble import assemble_ramp

    content = read_readouts(args.readouts)
    origin = provenance("assemble_ramp", {}, [args.readouts])
    pattern = read_patterns()[content.header.ma_table_number]
    problem = "; ".join(content.problems) or None
    for path, (detector, readout) in zip(args.ramps, sorted(content.readouts.items()), strict=True):
        ramp = assemble_ramp(content.header, readout, content.received[detector])
        write_ramp(path, ramp, content.header, pattern, origin, problem)


if __name__ == "__main__":
    main()
