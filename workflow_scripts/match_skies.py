"""Level 2 -> the sky level of each image of a region and filter, so that overlaps agree."""

import logging

from tessella.stage import stage_arguments


def main(argv=None):
    """Measure the sky of each image in blocks, compare them, write a row for each image."""
    args = stage_arguments(
        __doc__, argv, "options", "region:int", "images*", "wcs*", "astrometry", "skies"
    )
    from tessella.coadd.sky_blocks import sky_blocks
    from tessella.coadd.sky_levels import match_skies
    from tessella.io.provenance import provenance
    from tessella.io.skies import write_skies
    from tessella.io.solution_inputs import open_corrected, pixels_of
    from tessella.sky.tessellation import cell_lattice, regions

    lattice = cell_lattice(regions()[args.region], 0, 0)
    names, measured = [], []
    for item, _ in open_corrected(args.images, args.wcs, args.astrometry):
        names.append(item.name)
        measured.append(sky_blocks(item.places_on(lattice), pixels_of(item)))
    skies = match_skies(names, measured, **args.options)
    for name, level, n_blocks in zip(names, skies.level, skies.n_blocks, strict=True):
        logging.info("%s: sky %.5f MJy / sr, %d shared blocks", name, level, n_blocks)
    told = {"region": args.region, **args.options}
    origin = provenance("match_skies", told, [*args.images, *args.wcs, args.astrometry])
    write_skies(args.skies, names, skies, measured, origin)


if __name__ == "__main__":
    main()
