"""Level 2 -> the solution of a patch and filter: WCS, sky and outliers of each image (MPI)."""

import logging

from tessella.stage import stage_arguments


def main(argv=None):
    """Search the patch with all ranks, gather what was found, write on the first one."""
    args = stage_arguments(
        __doc__,
        argv,
        "options",
        "patch:str",
        "lattice:json",
        "ranks:int",
        "images*",
        "inputs",
        "solution",
    )
    import tempfile

    from tessella.coadd.disagreement import Thresholds
    from tessella.coadd.outlier_search import joined, outliers_of, search
    from tessella.coadd.search_area import area_of
    from tessella.io.level2_pixels import kept_open
    from tessella.io.placed_inputs import read_placed_inputs
    from tessella.io.provenance import provenance
    from tessella.io.seals import sha256
    from tessella.io.search_inputs import placed_of, search_input
    from tessella.io.solution import Solution, solved, write_solution
    from tessella.models import Lattice
    from tessella.parallel import gather, gather_all, is_first, share, world

    comm = world(args.ranks)
    area = area_of(Lattice(**args.lattice))
    # Each rank holds its part of the images against their seals, and tells the others.
    first, n = share(len(args.images), comm)
    digests = gather_all([sha256(image) for image in args.images[first : first + n]], comm)
    placed = placed_of(args.images, digests, read_placed_inputs(args.inputs), args.inputs)
    # What adds nothing has no voice in what the others add.
    pairs = zip(args.images, placed, strict=True)
    opened = kept_open()
    searched = [search_input(path, item, opened) for path, item in pairs if item.weight > 0]
    thresholds = Thresholds(**{name: tuple(pair) for name, pair in args.options.items()})
    with tempfile.TemporaryFile(dir=args.solution.parent) as scratch:
        own = search(searched, area, thresholds, scratch, comm)
    parts = gather(own, comm)
    if not is_first(comm):
        return
    inputs = []
    searched_in = map(joined, zip(*parts, strict=True))
    for item in placed:
        found = next(searched_in) if item.weight > 0 else joined([])
        outliers = outliers_of(found, item.places, area)
        inputs.append(solved(item, outliers, found.n_undecided))
        told = item.name, outliers.size, found.n_undecided
        logging.info("%s: %d outliers, %d pixels undecided", *told)
    element = placed[0].optical_element
    solution = Solution(args.patch, element, args.options, args.lattice, tuple(inputs))
    told = {"patch": args.patch, "lattice": args.lattice, **args.options}
    origin = provenance("find_outliers", told, [*args.images, args.inputs])
    write_solution(args.solution, solution, origin)


if __name__ == "__main__":
    main()
