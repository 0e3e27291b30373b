"""Level 2 -> the solution of a patch and filter: WCS, sky and outliers of each image (MPI)."""

import logging

from tessella.stage import stage_arguments


def main(argv=None):
    """Search this rank's lines of the patch, gather what was found, write on the first rank."""
    args = stage_arguments(
        __doc__,
        argv,
        "options",
        "patch:str",
        "lattice:json",
        "ranks:int",
        "images*",
        "wcs*",
        "astrometry",
        "skies",
        "solution",
    )
    from dataclasses import replace
    from functools import partial

    from tessella.coadd.disagreement import Thresholds
    from tessella.coadd.outlier_search import joined, outliers_of, search
    from tessella.coadd.search_area import on_region
    from tessella.io.provenance import provenance
    from tessella.io.skies import read_skies
    from tessella.io.solution import Solution, write_solution
    from tessella.io.solution_inputs import (
        check_next,
        open_corrected,
        row_of,
        search_input,
        solved_input,
    )
    from tessella.models import Lattice
    from tessella.parallel import gather, gather_all, is_first, share, world

    comm = world(args.ranks)
    lattice = Lattice(**args.lattice)
    region, area = on_region(lattice)
    skies = read_skies(args.skies)
    # Each rank opens and checks its part of the images, and tells the others what they are.
    first, n = share(len(args.images), comm)
    mine = (paths[first : first + n] for paths in (args.images, args.wcs))
    opened = gather_all(
        [
            (
                solved_input(item, correction, row_of(skies, item.name, args.skies), lattice),
                item.places_on(region),
                item.optical_element,
            )
            for item, correction in open_corrected(*mine, args.astrometry)
        ],
        comm,
    )
    solved, searched, before = [one for one, _, _ in opened], [], {}
    for image, (item, places, element) in zip(args.images, opened, strict=True):
        check_next(before, image, item.name, element)
        searched.append(search_input(image, item.conversion, places, skies[item.name]))
    thresholds = Thresholds(**{name: tuple(pair) for name, pair in args.options.items()})
    parts = gather(search(searched, area, thresholds, partial(share, comm=comm)), comm)
    if not is_first(comm):
        return
    for number, found in enumerate(map(joined, zip(*parts, strict=True))):
        outliers = outliers_of(found, searched[number].places, area)
        solved[number] = replace(solved[number], outliers=outliers, n_undecided=found.n_undecided)
        name, n_undecided = solved[number].name, found.n_undecided
        logging.info("%s: %d outliers, %d pixels undecided", name, outliers.size, n_undecided)
    solution = Solution(args.patch, element, args.options, args.lattice, tuple(solved))
    told = {"patch": args.patch, "lattice": args.lattice, **args.options}
    made_from = [*args.images, *args.wcs, args.astrometry, args.skies]
    write_solution(args.solution, solution, provenance("find_outliers", told, made_from))


if __name__ == "__main__":
    main()
