"""Readouts -> Level 1: write the official file of a detector's guide window."""

from tessella.stage import stage_arguments


def main(argv=None):
    """Read the detector and write its guide window."""
    args = stage_arguments(__doc__, argv, "readouts", "detector:str", "guide_window")
    from tessella.instrument.read_patterns import read_patterns
    from tessella.io.guide_windows import write_guide_window
    from tessella.io.provenance import provenance
    from tessella.io.readouts import read_readouts

    content = read_readouts(args.readouts, only=[args.detector])
    origin = provenance("write_guide_window", {"detector": args.detector}, [args.readouts])
    write_guide_window(
        args.guide_window,
        content.header,
        read_patterns()[content.header.ma_table_number],
        content.readouts[args.detector],
        content.received[args.detector].guide,
        origin,
    )


if __name__ == "__main__":
    main()
