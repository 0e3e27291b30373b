# Names of files and inputs that several rules share.
import functools
import hashlib
import json
from dataclasses import asdict

from tessella.config import load_state
from tessella.detector.persistence_state import HORIZON_S
from tessella.instrument.optical_elements import filters, reddest
from tessella.instrument.read_patterns import read_patterns
from tessella.models import IMAGING
from tessella.io.atomic import replacing
from tessella.plan.build import middle_of_tiles, plan_path
from tessella.plan.inbox import cache_folder
from tessella.plan.predecessors import predecessors
from tessella.plan.selection import read_reference_table
from tessella.sky.shards import shards_near

RESULTS = f"{cfg.results}/{cfg.run}"
FOUND = sorted({name for exposure in plan.exposures.values() for name in exposure.detectors})
DETECTORS = [detector.lower() for detector in cfg.detectors or FOUND]
ALIGNED = {name: exposure for name, exposure in plan.exposures.items() if exposure.is_aligned}
CALIBRATION = {
    name: exposure for name, exposure in plan.exposures.items() if exposure.is_for_calibration
}


wildcard_constraints:
    exposure=r"r\d{19}_\d{4}",
    element=r"f\d{3}|grism|prism|dark",
    tile=r"[a-z0-9]+_\d{3}[pm]\d{2}x\d{2}y\d{2}",
    region=r"\d{4}",
    patch=r"[a-z0-9]+_\d{4}x\d{2}y\d{2}",
    detector=r"wfi\d{2}",
    state=r"[A-Za-z0-9_.-]+",
    selection=r"wfi\d{2}_\w+_[0-9a-f]{8}",


def image_stem(exposure, detector):
    """File stem of one detector of one exposure."""
    return f"{exposure}_{detector.lower()}_{plan.exposures[exposure].element}"


def level2_file(exposure, detector, suffix):
    """A Level 2 file of one detector of an exposure: the image that is given, or what the run makes."""
    given = plan.exposures[exposure].level2
    if given and suffix == "cal.asdf":
        return given[detector.upper()]
    return f"{RESULTS}/level2/{image_stem(exposure, detector)}_{suffix}"


def tile_stem(tile, element=None):
    """File stem of the products of a tile, `<grouping>_<skycell>`, of all filters or of one."""
    band = f"_{element}" if element else ""
    return f"r{plan.program:05d}_p_{tile}{band}"


def reference_path(file):
    """Where a file of the table of references lies: as given, or made below the run."""
    return file if Path(file).is_absolute() else f"{RESULTS}/references/{file}"


def selection_of(exposure, detector):
    """The file of selected references of one detector of one exposure."""
    return f"{RESULTS}/references/selections/{plan.selected[f'{exposure} {detector.upper()}']}.json"


def selections(wildcards):
    """The selections of all detectors of an exposure."""
    return [
        selection_of(wildcards.exposure, d) for d in plan.exposures[wildcards.exposure].detectors
    ]


def reference_of(reftype, exposure, detector):
    """One selected reference of one detector of one exposure."""
    chosen = plan.selections[plan.selected[f"{exposure} {detector.upper()}"]]
    return reference_path(chosen.files[reftype])


def references_of_aligned(reftype):
    """The references of one type of all detector images that are aligned."""
    return [
        reference_of(reftype, name, detector)
        for name, exposure in ALIGNED.items()
        for detector in exposure.detectors
    ]


def matching_filter(tile):
    """The filter to whose PSF the colours of a tile are matched."""
    found = plan.tiles[tile].members
    return cfg.match.reference if cfg.match.reference in found else reddest(found)


def psfs_of_tile(tile, element):
    """List the PSFs of the detectors that see a tile, one file of each detector."""
    # ASSUME: exposures of one detector and filter have one PSF; the first one's stands for all.
    by_detector = {}
    for name, detector in plan.tiles[tile].members[element]:
        by_detector.setdefault(detector, reference_of("epsf", name, detector))
    return list(by_detector.values())


@functools.cache
def exposures_before():
    """The exposure before, by exposure and detector."""
    return predecessors(plan.exposures.values(), HORIZON_S)


def of_exposure_before(exposure, is_asked_for, path):
    """One file of each detector of the exposure before; null where none came or none is asked for."""
    detectors = plan.exposures[exposure].detectors
    names = [exposures_before().get((exposure, d)) if is_asked_for else None for d in detectors]
    return [name and path(name, detector) for name, detector in zip(names, detectors)]


def left_before(exposure):
    """What the exposure before left in each detector, where persistence is corrected."""
    return of_exposure_before(
        exposure,
        cfg.calibrate.persistence,
        lambda name, d: f"{RESULTS}/level2/{image_stem(name, d)}_persistence.asdf",
    )


def level1_of(exposure, detector):
    """The Level 1 file of one detector of an exposure: the one given, or made from telemetry."""
    given = plan.exposures[exposure].level1
    if given:
        return given[detector.upper()]
    return f"{RESULTS}/level1/{image_stem(exposure, detector)}_uncal.asdf"


def level1(wildcards):
    """Level 1 files of all detectors of an exposure."""
    detectors = plan.exposures[wildcards.exposure].detectors
    return [level1_of(wildcards.exposure, detector) for detector in detectors]


def tile_filters(tile):
    """Filters of a tile, as file names have them."""
    return [name.lower() for name in plan.tiles[tile].members]


def files_of(pairs, suffix):
    """One Level 2 file of each detector image, in the order given."""
    return [level2_file(name, detector, suffix) for name, detector in pairs]


@functools.cache
def region_members(region, element=None):
    """Exposure and detector of the images of a region, of all filters or of one, in plan order."""
    own = [patch for patch in plan.patches.values() if f"{patch.region:04d}" == region]
    found = {
        tuple(pair)
        for patch in own
        for name, pairs in patch.members.items()
        for pair in pairs
        if element in (None, name.lower())
    }
    in_order = ((name, d) for name, exposure in plan.exposures.items() for d in exposure.detectors)
    return [pair for pair in in_order if pair in found]


def of_region(suffix):
    """Input function: one file of each image of a region, and of a filter where the rule has one."""

    def files(wildcards):
        element = getattr(wildcards, "element", None)
        return files_of(region_members(wildcards.region, element), suffix)

    return files


def of_patch(suffix):
    """Input function: one file of each image of a patch and filter, in the order of adding."""

    def files(wildcards):
        members = plan.patches[wildcards.patch].members[wildcards.element.upper()]
        return files_of(members, suffix)

    return files


def patch_region(wildcards):
    """The region of a patch, as file names have it."""
    return f"{plan.patches[wildcards.patch].region:04d}"


def patch_filters(patch):
    """Filters of a patch, as file names have them."""
    return [name.lower() for name in plan.patches[patch].members]


def patch_tiles(patch, element):
    """Tiles of a patch that have images of a filter."""
    tiles = plan.patches[patch].tiles
    return [tile for tile in tiles if element.upper() in plan.tiles[tile].members]


def patch_coadds(patch, element):
    """Coadds of the tiles of a patch in one filter, in the order of its tiles."""
    return [
        f"{RESULTS}/level3/{tile_stem(tile, element)}_coadd.asdf"
        for tile in patch_tiles(patch, element)
    ]


def members(suffix):
    """Input function: one file of each detector image of a tile and filter, in the order of adding."""

    def files(wildcards):
        return files_of(plan.tiles[wildcards.tile].members[wildcards.element.upper()], suffix)

    return files


def coadds(wildcards):
    """Coadds of a tile in all its filters."""
    return [
        f"{RESULTS}/level3/{tile_stem(wildcards.tile, element)}_coadd.asdf"
        for element in tile_filters(wildcards.tile)
    ]


def products():
    """Archived products of the run: each is a target, so that a lost one is made again."""
    images = [
        level2_file(name, detector, "cal.asdf")
        for name, exposure in plan.exposures.items()
        for detector in exposure.detectors
        if not exposure.level2
    ]
    mosaics = [
        f"{RESULTS}/level3/{tile_stem(tile, element)}_coadd.asdf"
        for tile in plan.tiles
        for element in tile_filters(tile)
    ]
    catalogs = [
        f"{RESULTS}/level4/{tile_stem(tile)}_{kind}"
        for tile in plan.tiles
        for kind in ("segm.asdf", "cat.parquet")
    ]
    tables = [*associations(), *catalogs, *exclusions(), *library()]
    return [*images, *guide_windows(), *mosaics, *tables]


def guided(exposure):
    """Detectors of an exposure that send a guide window."""
    if cfg.source == "simulate":
        return exposure.detectors if cfg.expose.guide_window else ()
    return exposure.guided


def guide_windows():
    """The guide windows that exposures of the run sent."""
    return [
        f"{RESULTS}/level1/{image_stem(name, detector)}_gw.asdf"
        for name, exposure in plan.exposures.items()
        for detector in guided(exposure)
    ]


def associations():
    """What each coadd is planned from, for official tools."""
    return [
        f"{RESULTS}/level3/{tile_stem(tile, element)}_asn.json"
        for tile in plan.tiles
        for element in tile_filters(tile)
    ]


def exclusions_table():
    """The table of images that are left out of groups."""
    return f"{RESULTS}/level3/r{plan.program:05d}_p_exclusions.ecsv"


def exclusions():
    """That table, where cuts, tiles or the alignment may leave images out; else none."""
    return [exclusions_table()] if cfg.groupings.cuts or plan.excluded or plan.patches else []


def astrometry_of_regions():
    """The joint solution of each region, by its number as file names have it."""
    regions = sorted({f"{patch.region:04d}" for patch in plan.patches.values()})
    return {region: f"{RESULTS}/level3/region{region}_astrometry.ecsv" for region in regions}


@functools.cache
def reported_tiles():
    """Tiles that the report is about: of one group of the whole run, where one is made.

    The same sources in several groups would count several times.
    """
    whole = [name for name in cfg.groupings.made if name in ("full", "user")][:1]
    return [name for name, tile in plan.tiles.items() if not whole or tile.grouping == whole[0]]


def library():
    """The table of references with those that the run measures; none where it measures none."""
    return [f"{RESULTS}/library.tsv"] if cfg.calibration.measure else []


def report_page():
    """The report; none where no exposure belongs to a tile."""
    return [f"{RESULTS}/quality/report.html"] if reported_tiles() else []


def last_products():
    """What all other products lead to, but for those that nothing is made of."""
    others = [exposure for name, exposure in plan.exposures.items() if name not in ALIGNED]
    images = [
        f"{RESULTS}/level2/{image_stem(exposure.name, detector)}_cal.asdf"
        for exposure in others
        for detector in exposure.detectors
    ]
    verdicts = [
        f"{RESULTS}/level2/{exposure.name}_{exposure.element}_verdict.json" for exposure in others
    ]
    catalogs = [
        f"{RESULTS}/level4/{tile_stem(tile)}_cat.parquet"
        for tile in plan.tiles
        if tile not in reported_tiles()
    ]
    others_of_tiles = [*associations(), *exclusions()]
    alone = [*guide_windows(), *others_of_tiles, *library()]
    return [*report_page(), *catalogs, *images, *verdicts, *alone]


def telemetry(wildcards):
    """Telemetry files of an exposure: those given, or the simulated one."""
    given = plan.exposures[wildcards.exposure].telemetry
    return list(given) or [f"{RESULTS}/level0/{wildcards.exposure}.l0"]


def scene_options():
    """What the truth depends on: the field around the middle of the exposures, when they are taken, in
    which filters."""
    scene = cfg.scene.model_dump(mode="json")
    ra, dec = middle_of_tiles(plan)
    times = sorted(exposure.start_time for exposure in plan.exposures.values())
    elements = {exposure.element.upper() for exposure in plan.exposures.values()}
    return {
        "catalogue_epoch": cfg.reference_stars.epoch,
        "first_start": times[0],
        "last_start": times[-1],
        "filters": [name for name in filters() if name in elements],
        "seed": scene.pop("seed"),
        "field": {"ra": ra, "dec": dec, **{k: v for k, v in scene.items() if k != "catalogue"}},
    }


def reference_shards():
    """Shards of the sky that hold reference stars for the detectors of exposures that are aligned."""
    centres = [
        attitude[:2] for exposure in ALIGNED.values() for attitude in exposure.detectors.values()
    ]
    # A detector's corner is 0.09 degrees from its middle.
    radius = 0.2 + cfg.align.search_radius_arcsec / 3600
    return shards_near(*zip(*centres), radius).tolist() if centres else []


def useafter_of(state):
    """Date from which the references made from a state hold."""
    rows = read_reference_table(find_file(cfg.references.table, BASE))
    return min(row.useafter for row in rows if Path(row.file).parts[0] == state)


def of_exposures(suffix):
    """One file of each detector image that is aligned."""
    return [
        level2_file(name, detector, suffix)
        for name, exposure in ALIGNED.items()
        for detector in exposure.detectors
    ]


def of_tiles(suffix):
    """One file of each tile of the report."""
    return [f"{RESULTS}/level4/{tile_stem(tile)}_{suffix}" for tile in reported_tiles()]


def report_options():
    """What the figures depend on besides files."""
    numbers = {exposure.ma_table_number for exposure in ALIGNED.values()} & set(read_patterns())
    patterns = [read_patterns()[number] for number in sorted(numbers)]
    return {
        **cfg.report.model_dump(mode="json", exclude={"truth"}),
        "measure": cfg.measure.model_dump(mode="json"),
        "detectors": [detector.upper() for detector in DETECTORS],
        "n_exposures": len(ALIGNED),
        # Unknown where given images have MultiAccum tables that are not known.
        "second_resultant_s": max((p.reads[1][-1] * p.frame_time for p in patterns), default=None),
    }


def truth_table():
    """The truth that the products are held against; None where there is none."""
    if cfg.source == "simulate":
        return f"{RESULTS}/simulation/truth.ecsv"
    if cfg.report.truth is None:
        return None
    path = Path(getattr(cfg, f"{cfg.source}_folder")) / cfg.report.truth
    if not path.is_file():
        sys.exit(
            f"ERROR: report.truth: no such file: {path}; name the truth table there, or null for none"
        )
    return str(path)


def lamp_filters():
    """Filters of the run's flats, as file names have them."""
    flats = (e for e in plan.exposures.values() if e.exposure_type == "WFI_FLAT")
    return sorted({flat.element for flat in flats if flat.optical_element in filters()})


def of_calibration(file_of):
    """Input function: one file of a detector of each dark and flat."""
    return lambda wildcards: [file_of(name, wildcards.detector) for name in CALIBRATION]


def calibration_options():
    """What measured references depend on besides files."""
    return {
        "calibrate": cfg.calibrate.model_dump(mode="json"),
        "calibration": cfg.calibration.model_dump(mode="json"),
        "window": vars(cfg.detector_window),
    }


HAS_PERSISTENCE = (
    cfg.source == "simulate"
    and load_state(find_file(cfg.references.states, BASE), cfg.expose.state).persistence_ratio > 0
)


def leaking(exposure):
    """What the simulated exposure before left in each detector, where persistence is simulated."""
    return of_exposure_before(
        exposure,
        HAS_PERSISTENCE,
        lambda name, d: f"{RESULTS}/simulation/{name}_{d.lower()}_persistence.asdf",
    )


def truth_of(wildcards):
    """The truth table, for exposures that show the sky as an image."""
    is_image = plan.exposures[wildcards.exposure].exposure_type in IMAGING
    return [f"{RESULTS}/simulation/truth.ecsv"] if is_image else []


def exposure_json(wildcards):
    """The plan of one exposure, for the command line of its stages."""
    return json.dumps(asdict(plan.exposures[wildcards.exposure]))


def launcher(wildcards, resources):
    """MPI launch prefix; empty for one rank, so that a laptop needs no MPI."""
    return f"{resources.mpi} -n {resources.tasks}" if resources.tasks > 1 else ""


def growing(amount, whole=None):
    """A resource of which a second attempt gets twice as much, a third three times.

    `whole` is for whole detectors, `amount` for windows or, where it stands alone, for both.
    """
    first = amount if whole is None or cfg.window else whole
    return lambda wildcards, attempt: first * attempt


def listed(stage, kind):
    """A file that names the inputs of a job of one kind, a line each: a command line cannot hold all.

    It is made when Snakemake looks at the job, and says what the input function does. Its name is that
    of its content, so that a dry run beside a run replaces nothing.
    """

    def path(wildcards, input):
        names = "".join(f"{name}\n" for name in input[kind])
        content = hashlib.sha256(names.encode()).hexdigest()[:8]
        stem = "_".join([stage, *wildcards, kind, content])
        file = Path(RESULTS) / "plan" / "inputs" / f"{stem}.txt"
        if not file.is_file() or file.read_text() != names:
            with replacing(file, None) as part:
                part.write_text(names)
        return f"@{file}"

    return path


def each_rank(amount):
    """Memory of a job of several ranks: `amount` for each, more at further attempts."""
    return lambda wildcards, attempt, threads: amount * attempt * threads


def for_context(wildcards, attempt):
    """Memory of a cell: of every 32 images the context has a plane of 100 MB, held twice."""
    n_planes = 1 + len(members("cal.asdf")(wildcards)) // 32
    return (1500 + 200 * n_planes) * attempt


def patch_and_cells(patch):
    """What a patch is: its lattice, and those of the cells that are cut from it."""
    planned = plan.patches[patch]
    return {
        "lattice": planned.lattice,
        "tiles": [plan.tiles[tile].lattice for tile in planned.tiles],
        "grouping": planned.grouping,
    }


@functools.cache
def patch_of(tile):
    """The patch that a tile is cut from."""
    return next(name for name, patch in plan.patches.items() if tile in patch.tiles)


def detector_sets():
    """Names of the exposures that are aligned, by the detectors that they have."""
    sets = {}
    for name, exposure in ALIGNED.items():
        own = tuple(detector.lower() for detector in sorted(exposure.detectors))
        sets.setdefault(own, []).append(name)
    return sets


def of_detectors(file_of):
    """Input function: one file of each detector of an exposure."""
    return lambda wildcards: [
        file_of(wildcards.exposure, detector)
        for detector in sorted(plan.exposures[wildcards.exposure].detectors)
    ]
