"""Products of a run -> its quality: figures, pictures, one page."""

from tessella.stage import stage_arguments


def main(argv=None):
    """Read the samples of all tiles and exposures, make the figures, write and draw them."""
    args = stage_arguments(
        __doc__, argv, "options", "run:str", "truth:json", "ledgers:json",
        "catalogs*", "segmentations*", "mosaics*", "stars*", "wcs*", "solutions:json",
        "verdicts:json", "reference_stars", "encircled_energy", "psfs*", "benchmarks",
        "page", "summary", "times_page", "times",
        "pictures*", "astrometry", "fluxes", "pulls", "depth",
    )  # fmt: skip
    from tessella.io import report_inputs as inputs
    from tessella.io.provenance import provenance
    from tessella.io.report import Page, write_page, write_summary, write_times
    from tessella.io.report_plots import plot_all, write_colour
    from tessella.quality.samples import join_samples
    from tessella.quality.summary import assess, summarize

    made_from = [
        *args.catalogs, *args.segmentations, *args.mosaics, *args.stars, *args.wcs,
        *args.solutions, *args.verdicts, *args.ledgers, *args.psfs, args.reference_stars,
        args.encircled_energy, *([args.truth] if args.truth else []),
    ]  # fmt: skip
    origin = provenance("make_report", {"run": args.run, **args.options}, made_from)
    tiles = inputs.read_tiles(
        args.catalogs, args.segmentations, args.mosaics,
        args.encircled_energy, args.psfs, args.truth, args.options,
    )  # fmt: skip
    exposures, elements = inputs.read_exposures(
        args.stars, args.wcs, args.reference_stars, args.solutions
    )
    verdicts = inputs.read_verdicts(args.verdicts)
    packets = inputs.read_packets(args.ledgers)

    truth, sources, sky = join_samples([tile.samples for tile in tiles])
    added = [k for k, stars in enumerate(exposures) if stars.is_added]
    found = assess(truth, sources, sky, [exposures[k] for k in added], [elements[k] for k in added])
    counts = args.options["n_exposures"], len(sources.ra)
    summary = summarize(found, *counts, packets, args.truth)
    write_summary(args.summary, summary, origin)
    for picture, tile in zip(args.pictures, tiles, strict=True):
        write_colour(picture, tile.pictures, origin)
    plots = plot_all(found, sky, args.astrometry, args.fluxes, args.pulls, args.depth, origin)
    alignments = [(stars.name, stars.status) for stars in exposures]
    page = Page(args.run, args.pictures, plots, verdicts, alignments, args.times_page.name)
    write_page(args.page, page, summary, origin)
    write_times(args.times_page, args.times, args.run, inputs.read_job_times(args.benchmarks))


if __name__ == "__main__":
    main()
