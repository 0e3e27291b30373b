"""Make the calibration references of one detector in one state."""

from tessella.stage import stage_arguments


def main(argv=None):
    """Draw the detector's maps, measure them, write one file a reference."""
    args = stage_arguments(
        __doc__, argv, "options", "state", "detector:str", "useafter:str", "references*"
    )
    from tessella.config import load_state
    from tessella.io.provenance import provenance
    from tessella.models import Window
    from tessella.run.references import write_references

    state = load_state(args.state.parent, args.state.stem)
    told = {"detector": args.detector, "useafter": args.useafter, **args.options}
    window = Window(**args.options["window"])
    write_references(
        args.references,
        state,
        args.state.stem,
        args.detector.upper(),
        window,
        args.useafter,
        args.options["pixfrac"],
        provenance("make_references", told, [args.state]),
    )


if __name__ == "__main__":
    main()
