# All products to their quality. Truth is an input of this rule and of the simulator alone.

from tessella.instrument.read_patterns import read_patterns


def of_exposures(suffix):
    """One file of each detector image of the run."""
    return [
        f"{RESULTS}/level2/{image_stem(name, detector)}_{suffix}"
        for name, exposure in plan.exposures.items()
        for detector in exposure.detectors
    ]


def of_tiles(suffix):
    """One file of each tile."""
    return [f"{RESULTS}/level4/{tile_stem(tile)}_{suffix}" for tile in plan.tiles]


def report_options():
    """What the figures depend on besides files."""
    patterns = [read_patterns()[exposure.ma_table_number] for exposure in plan.exposures.values()]
    return {
        **cfg.report.model_dump(mode="json", exclude={"truth"}),
        "measure": cfg.measure.model_dump(mode="json"),
        "detectors": list(cfg.detectors),
        "second_resultant_s": max(p.reads[1][-1] * p.frame_time for p in patterns),
    }


def truth_table():
    """The truth that the products are held against; None where there is none."""
    if cfg.source == "simulate":
        return f"{RESULTS}/simulation/truth.ecsv"
    if cfg.report.truth is None:
        return None
    folder = {"level1": cfg.level1_folder, "telemetry": cfg.telemetry_folder}[cfg.source]
    path = Path(folder) / cfg.report.truth
    if not path.is_file():
        sys.exit(
            f"ERROR: report.truth: no such file: {path}; name the truth table there, or null for none"
        )
    return str(path)


TRUTH = truth_table()


rule make_report:
    """Hold the products against truth and reference stars, and show them."""
    input:
        script="<scripts>/make_report.py",
        catalogs=of_tiles("cat.parquet"),
        segmentations=of_tiles("segm.asdf"),
        mosaics=[
            f"{RESULTS}/level3/{tile_stem(tile, element)}_coadd.asdf"
            for tile in plan.tiles
            for element in tile_filters(tile)
        ],
        stars=of_exposures("stars.ecsv"),
        wcs=of_exposures("wcs.asdf"),
        verdicts=[
            f"{RESULTS}/level2/{name}_{exposure.element}_verdict.json"
            for name, exposure in plan.exposures.items()
        ],
        ledgers=(
            []
            if cfg.source == "level1"
            else expand("<results>/level0/{exposure}_ledger.json", exposure=plan.exposures)
        ),
        truth=[TRUTH] if TRUTH else [],
        reference_stars="<results>/references/reference_stars.ecsv",
        encircled_energy=reference_of("apcorr", *next(iter(plan.selected)).split()),
        psfs=sorted({reference_of("epsf", *pair.split()) for pair in plan.selected}),
    output:
        page="<results>/quality/report.html",
        summary=report("<results>/quality/summary.json", category="Figures"),
        pictures=report(
            expand("<results>/quality/{tile}_colour.png", tile=plan.tiles), category="Pictures"
        ),
        astrometry=report("<results>/quality/astrometry.png", category="Plots"),
        fluxes=report("<results>/quality/fluxes.png", category="Plots"),
        pulls=report("<results>/quality/pulls.png", category="Plots"),
        depth=report("<results>/quality/depth.png", category="Plots"),
    log:
        "<logs>/make_report.log",
    benchmark:
        "<benchmarks>/make_report.tsv"
    conda:
        "../envs/tessella.yaml"
    resources:
        mem_mb=3000,
        runtime=20,
    params:
        options=json.dumps(report_options()),
        run=cfg.run,
        truth=json.dumps(TRUTH),
        ledgers=lambda wildcards, input: json.dumps(list(input.ledgers)),
        benchmarks=f"{RESULTS}/benchmarks",
    shell:
        "python {input.script:q} --options {params.options:q} --run {params.run:q}"
        " --truth {params.truth:q} --ledgers {params.ledgers:q} --catalogs {input.catalogs:q}"
        " --segmentations {input.segmentations:q} --mosaics {input.mosaics:q} --stars {input.stars:q}"
        " --wcs {input.wcs:q} --verdicts {input.verdicts:q} --reference-stars {input.reference_stars:q}"
        " --encircled-energy {input.encircled_energy:q} --psfs {input.psfs:q}"
        " --benchmarks {params.benchmarks:q} --page {output.page:q} --summary {output.summary:q}"
        " --pictures {output.pictures:q} --astrometry {output.astrometry:q} --fluxes {output.fluxes:q}"
        " --pulls {output.pulls:q} --depth {output.depth:q} > {log:q} 2>&1"
