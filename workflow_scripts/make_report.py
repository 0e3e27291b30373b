"""Products of a run -> its quality: figures, pictures, one page."""

from tessella.stage import stage_arguments


def main(argv=None):
    """Read the samples of all tiles and exposures, make the figures, write and draw them."""
    args = stage_arguments(
        __doc__, argv, "options", "run:str", "truth:json", "ledgers:json",
        "catalogs*", "segmentations*", "mosaics*", "stars*", "wcs*", "verdicts*",
        "reference_stars", "encircled_energy", "psfs*", "benchmarks",
        "page", "summary", "pictures*", "astrometry", "fluxes", "pulls", "depth",
    )  # fmt: skip
    from tessella.io import report_inputs as inputs
    from tessella.io.report import Page, write_page, write_summary
    from tessella.io.report_plots import plot_all, write_colour
    from tessella.quality.samples import join_samples
    from tessella.quality.summary import assess, summarize
    from tessella.quality.timing import busy_seconds, by_rule

    tiles = inputs.read_tiles(
        args.catalogs, args.segmentations, args.mosaics,
        args.encircled_energy, args.psfs, args.truth, args.options,
    )  # fmt: skip
    exposures, elements = inputs.read_exposures(args.stars, args.wcs, args.reference_stars)
    verdicts, jobs = inputs.read_verdicts(args.verdicts), inputs.read_job_times(args.benchmarks)
    packets = inputs.read_packets(args.ledgers)

    truth, sources, sky = join_samples([tile.samples for tile in tiles])
    found = assess(truth, sources, sky, exposures, elements)
    counts = len(args.verdicts), len(sources.ra)
    summary = summarize(found, *counts, packets, busy_seconds(jobs), args.truth)
    write_summary(args.summary, summary)
    for picture, tile in zip(args.pictures, tiles, strict=True):
        write_colour(picture, tile.pictures)
    plots = plot_all(found, sky, args.astrometry, args.fluxes, args.pulls, args.depth)
    alignments = [(stars.name, stars.status) for stars in exposures]
    page = Page(args.run, args.pictures, plots, verdicts, alignments, by_rule(jobs))
    write_page(args.page, page, summary)


if __name__ == "__main__":
    main()
