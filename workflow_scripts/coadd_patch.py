"""Level 2 -> Level 3: add the exposures of one filter on a patch (MPI)."""

import logging
from contextlib import nullcontext

from tessella.stage import stage_arguments


def main(argv=None):
    """Bring this rank's blocks of the sums up to date; the first rank lists what they hold."""
    args = stage_arguments(
        __doc__,
        argv,
        "options",
        "patch:json",
        "ranks:int",
        "solution",
        "images*",
        "sums",
    )
    from tessella.io.atomic import replacing
    from tessella.io.provenance import provenance
    from tessella.io.solution import read_solution
    from tessella.io.sums import make_room, open_sums, write_added
    from tessella.models import Lattice
    from tessella.parallel import gather, is_first, meet, rank_of, share, tell, world
    from tessella.run import coadd_patch, coadd_update

    comm = world(args.ranks)
    rank, n_ranks = rank_of(comm)
    pixfrac, side = args.options["pixfrac"], args.options["block_pixels"]
    lattice = Lattice(**args.patch["lattice"])
    tiles = [Lattice(**tile) for tile in args.patch["tiles"]]
    origin, update, file = None, None, None
    # Each rank holds its part of the images against their seals, and none begins before all have.
    solution = read_solution(args.solution)
    files = coadd_update.files_of(solution, args.images)
    coadd_update.check_inputs(solution, lattice, files, *share(len(solution.inputs), comm))
    meet(comm)
    if is_first(comm):
        told = {"patch": args.patch, **args.options}
        origin = provenance("coadd_patch", told, [args.solution, *args.images])
        update = coadd_update.find_update(args.sums, solution, lattice, tiles, files, args.options)
        for line in update.told:
            logging.info(line)
    # The other ranks have ended when the file is sealed: their cores take a part of that.
    with replacing(args.sums, origin, min(2, n_ranks)) if is_first(comm) else nullcontext() as part:
        if is_first(comm):
            coadd_update.start_sums(part, args.sums, update)
            make_room(part, update.n_slots)
            file = open_sums(part)
        update, file = tell((update, file), comm)
        blocks = coadd_patch.share_of_blocks(file.box, rank, n_ranks, side, update.row_direction)
        found = gather(coadd_patch.make_blocks(file, blocks, update, pixfrac, tiles), comm)
        if is_first(comm) and not update.is_current:
            held = coadd_update.with_products(update.held, found, len(tiles))
            write_added(part, update.solution_id, update.told, held)


if __name__ == "__main__":
    main()
