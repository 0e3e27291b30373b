"""Level 2 -> where each image of a region and filter lies, and its sky, so that overlaps agree."""

import logging

from tessella.stage import stage_arguments


def main(argv=None):
    """Place each image, measure its sky in blocks, compare them, write all of it."""
    args = stage_arguments(
        __doc__, argv, "options", "region:int", "images*", "wcs*", "astrometry", "inputs"
    )
    from tessella.coadd.sky_blocks import NO_SKY, sky_blocks
    from tessella.coadd.sky_levels import match_skies
    from tessella.io.placed_inputs import write_placed_inputs
    from tessella.io.provenance import provenance
    from tessella.io.region_inputs import open_corrected, pixels_of, placed_input, with_skies
    from tessella.sky.tessellation import cell_lattice, regions

    lattice = cell_lattice(regions()[args.region], 0, 0)
    placed, measured, left_out = [], [], set()
    for item, solved in open_corrected(args.images, args.wcs, args.astrometry):
        placed.append(placed_input(item, solved, lattice))
        # Without a sky an image has no weight, and adds nothing to any sum.
        sky = sky_blocks(placed[-1].places, pixels_of(item)) if solved.is_added else NO_SKY
        measured.append(sky)
        if not solved.is_added:
            left_out.add(item.name)
    skies = match_skies([item.name for item in placed], measured, **args.options)
    placed = with_skies(placed, skies, measured)
    for item in placed:
        if item.name in left_out:
            logging.warning("%s: left out: %s", item.name, item.wcs_status)
            continue
        told = item.name, item.level, item.n_shared_blocks
        logging.info("%s: sky %.5f MJy / sr, %d shared blocks", *told)
    told = {"region": args.region, **args.options}
    origin = provenance("match_skies", told, [*args.images, *args.wcs, args.astrometry])
    write_placed_inputs(args.inputs, placed, origin)


if __name__ == "__main__":
    main()
