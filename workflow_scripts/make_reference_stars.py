"""Make the catalogue of stars that exposures are aligned with, from shards or a Gaia table."""

import logging

from tessella.stage import stage_arguments


def main(argv=None):
    """Cut out the run's part, scatter it by its errors if it is the truth itself, write it."""
    args = stage_arguments(__doc__, argv, "options", "shards:json", "table", "stars")
    from tessella.io.provenance import provenance
    from tessella.io.star_shards import read_stars_of, some_of
    from tessella.io.stars import write_reference_stars

    options = {**args.options, "shards": args.shards}
    stars = read_stars_of(args.table, options["epoch"], args.shards)
    shards = some_of(stars, args.table, args.shards)
    origin = provenance("make_reference_stars", options, [args.table])
    found = write_reference_stars(args.stars, shards, options["scatter_seed"], origin)
    for status, n in sorted(found.items()):
        logging.info("%d stars: %s", n, status)


if __name__ == "__main__":
    main()
