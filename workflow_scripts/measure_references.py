"""Darks and flats of one detector -> the references that they tell."""

from tessella.stage import stage_arguments


def main(argv=None):
    """Reduce one exposure after the other, gather what they tell, write it."""
    args = stage_arguments(
        __doc__, argv, "options", "detector:str", "useafter:str", "workers:int",
        "ramps*", "selections*", "references*", "picture",
    )  # fmt: skip
    from tessella.io.provenance import provenance
    from tessella.io.references import ReferenceHeader
    from tessella.models import Window
    from tessella.run.measure_references import measure_references

    told = {"detector": args.detector, "useafter": args.useafter, **args.options}
    header = ReferenceHeader(
        args.detector.upper(),
        args.useafter,
        f"measured by tessella from {len(args.ramps)} darks and flats",
        provenance("measure_references", told, [*args.ramps, *args.selections]),
        args.options["calibration"]["pedigree"],
    )
    window = Window(**args.options["window"])
    exposures = zip(args.ramps, args.selections, strict=True)
    measure_references(
        args.references, args.picture, exposures, window, args.options, header, args.workers
    )


if __name__ == "__main__":
    main()
