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
        "earlier:json",
        "images*",
        "left:json",
        "verdict",
    )
    from pathlib import Path

    from tessella.io.provenance import provenance
    from tessella.io.verdict import write_verdict
    from tessella.models import Window
    from tessella.parallel import each
    from tessella.run.calibrate import calibrate_detector

    window = Window(**args.window)
    n_threads = max(1, args.workers // len(args.ramps))
    earlier = [path and Path(path) for path in args.earlier]
    left = [Path(path) for path in args.left] or [None] * len(args.ramps)
    files = zip(args.ramps, args.selections, args.images, earlier, left, strict=True)
    tasks = [
        (ramp, selection, image, window, args.options, n_threads, before, after)
        for ramp, selection, image, before, after in files
    ]
    verdicts = each(calibrate_detector, tasks, args.workers)
    made_from = [*args.ramps, *args.selections, *filter(None, earlier)]
    origin = provenance("calibrate_exposure", args.options, made_from)
    write_verdict(args.verdict, verdicts, args.options["minimum_detectors"], origin)


if __name__ == "__main__":
    main()
