"""Level 1 -> Level 2: calibrate all detectors of one exposure."""

from tessella.stage import stage_arguments


def main(argv=None):
    """Calibrate each detector; bad data end in a verdict, faults of the program in an error."""
    args = stage_arguments(
        __doc__,
        argv,
        "options",
        "window:json",
        "workers:int",
        "ramps*",
        "selections*",
        "images*",
        "verdict",
    )
    from tessella.io.provenance import provenance
    from tessella.io.verdict import write_verdict
    from tessella.models import Window
    from tessella.parallel import each
    from tessella.run.calibrate import calibrate_detector

    window = Window(**args.window)
    n_threads = max(1, args.workers // len(args.ramps))
    tasks = [
        (ramp, selection, image, window, args.options, n_threads)
        for ramp, selection, image in zip(args.ramps, args.selections, args.images, strict=True)
    ]
    verdicts = each(calibrate_detector, tasks, args.workers)
    origin = provenance("calibrate_exposure", args.options, [*args.ramps, *args.selections])
    write_verdict(args.verdict, verdicts, args.options["minimum_detectors"], origin)


if __name__ == "__main__":
    main()
