"""Products of a run -> its quality: figures, pictures, one page."""

from tessella.stage import stage_arguments


def main(argv=None):
    """Read the samples of all tiles and exposures, make the figures, write and draw them."""
    args = stage_arguments(
        __doc__, argv, "options", "run:str", "truth:json", "ledgers:json", "catalogs*", "segmentations*", "mosaics*",
        "stars*", "wcs*", "verdicts*", "reference_stars", "encircled_energy", "psfs*", "benchmarks",
        "page", "summary", "pictures*", "astrometry", "fluxes", "pulls", "depth",
    )  # fmt: skip
    from tessella.io import report, report_plots
    from tessella.io.report_inputs import (
        read_exposure_stars, read_job_times, read_packets, read_sky, read_tiles, read_verdicts, saturation_limits,
    )  # fmt: skip
    from tessella.quality.samples import join_samples
    from tessella.quality.summary import assess, summarize
    from tessella.quality.timing import busy_seconds, by_rule

    limits = saturation_limits(args.psfs, args.options)
    sky = read_sky(args.truth, limits) if args.truth else None
    tiles = read_tiles(
        args.catalogs, args.segmentations, args.mosaics, args.encircled_energy, sky, limits, args.options
    )
    pairs = [read_exposure_stars(*files, args.reference_stars) for files in zip(args.stars, args.wcs, strict=True)]
    exposures, elements = zip(*pairs, strict=True)
    truth, sources, apertures = join_samples([tile.samples for tile in tiles])
    found = assess(truth, sources, apertures, exposures, elements)
    verdicts, jobs = read_verdicts(args.verdicts), read_job_times(args.benchmarks)
    packets = read_packets(args.ledgers) if args.ledgers else None
    summary = summarize(found, len(args.verdicts), len(sources.ra), packets, busy_seconds(jobs), args.truth)
    report.write_summary(args.summary, summary)

    for picture, tile in zip(args.pictures, tiles, strict=True):
        report_plots.write_colour(picture, tile.pictures)
    report_plots.plot_astrometry(args.astrometry, found.reference_offsets, found.true_offsets)
    report_plots.plot_fluxes(args.fluxes, found.fluxes)
    report_plots.plot_pulls(args.pulls, found.fluxes, apertures)
    report_plots.plot_depth(args.depth, apertures)
    plots = [
        (args.astrometry, "Positions"), (args.fluxes, "Fluxes against truth"),
        (args.pulls, "Are the errors real?"), (args.depth, "Depth"),
    ]  # fmt: skip
    alignments = [(stars.name, stars.status) for stars in exposures]
    report.write_page(
        args.page, report.Page(args.run, args.pictures, plots, verdicts, alignments, by_rule(jobs)), summary
    )


if __name__ == "__main__":
    main()
