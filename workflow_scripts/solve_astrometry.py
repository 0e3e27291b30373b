"""Level 2 -> corrections of the WCS: one solution over all overlapping images of a region."""

import logging

from tessella.stage import stage_arguments


def main(argv=None):
    """Read measured and reference stars of all images, solve, write a row for each."""
    args = stage_arguments(
        __doc__, argv, "options", "stars*", "wcs*", "reference_stars", "astrometry"
    )
    from tessella.astrometry.joint_solution import solve_jointly
    from tessella.io.astrometry_solution import read_measured_image, write_astrometry
    from tessella.io.provenance import provenance

    pairs = zip(args.stars, args.wcs, strict=True)
    images = [read_measured_image(*pair, args.reference_stars) for pair in pairs]
    solution = solve_jointly(images, args.options)
    for item in solution.images:
        logging.info(
            "%s: %s, %d stars, rms %.2f mas", item.image, item.status, item.n_stars, item.rms_mas
        )
    if not any(image.is_aligned for image in images):
        logging.warning(
            "none of the %d images of the region was aligned: all are added as they point, and "
            "places on the sky and overlaps are only as good as that",
            len(images),
        )
    logging.info(
        "%d stars in common, %d measurements left out, %.2f mas of scatter besides errors",
        solution.n_stars,
        solution.n_rejected,
        solution.excess_scatter_mas,
    )
    origin = provenance(
        "solve_astrometry", args.options, [*args.stars, *args.wcs, args.reference_stars]
    )
    write_astrometry(args.astrometry, solution, origin)


if __name__ == "__main__":
    main()
