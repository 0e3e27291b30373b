"""Readouts -> Level 1: write the official file of each detector of one exposure."""

from tessella.stage import stage_arguments


def main(argv=None):
    """Assemble and write each detector's ramp."""
    args = stage_arguments(__doc__, argv, "options", "readouts", "ramps*")
    from tessella.instrument.read_patterns import read_patterns
    from tessella.io.level1 import write_ramp
    from tessella.io.provenance import provenance
    from tessella.io.readouts import read_readouts
    from tessella.telemetry.assemble import assemble_ramp

    about = read_readouts(args.readouts, only=())
    origin = provenance("assemble_ramp", args.options, [args.readouts])
    pattern = read_patterns()[about.header.ma_table_number]
    for path, detector in zip(args.ramps, args.options["detectors"], strict=True):
        content = read_readouts(args.readouts, only=[detector])
        ramp = assemble_ramp(about.header, content.readouts[detector], content.received[detector])
        write_ramp(
            path,
            ramp,
            about.header,
            pattern,
            origin,
            about.reliability,
            args.options["complete_fraction"],
            content.readouts[detector].guide,
        )


if __name__ == "__main__":
    main()
