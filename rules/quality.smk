# All products to their quality. Truth is an input of this rule and of the simulator alone.

TRUTH = truth_table()


rule make_report:
    """Hold the products against truth and reference stars, and show them."""
    input:
        script="<scripts>/make_report.py",
        catalogs=of_tiles("cat.parquet"),
        segmentations=of_tiles("segm.asdf"),
        mosaics=[
            f"{RESULTS}/level3/{tile_stem(tile, element)}_coadd.asdf"
            for tile in reported_tiles()
            for element in tile_filters(tile)
        ],
        stars=of_exposures("stars.ecsv"),
        wcs=of_exposures("wcs.asdf"),
        solutions=list(astrometry_of_regions().values()),
        verdicts=[
            f"{RESULTS}/level2/{name}_{exposure.element}_verdict.json"
            for name, exposure in ALIGNED.items()
            if not exposure.level2
        ],
        ledgers=(
            []
            if cfg.source in ("level1", "level2")
            else expand("<results>/level0/{exposure}_ledger.json", exposure=ALIGNED)
        ),
        truth=[TRUTH] if TRUTH else [],
        reference_stars="<results>/references/reference_stars.parquet",
        encircled_energy=references_of_aligned("apcorr")[0],
        psfs=sorted(set(references_of_aligned("epsf"))),
    output:
        page="<results>/quality/report.html",
        times_page="<results>/quality/times.html",
        times="<results>/quality/times.json",
        summary=report("<results>/quality/summary.json", category="Figures"),
        pictures=report(
            expand("<results>/quality/{tile}_colour.png", tile=reported_tiles()),
            category="Pictures",
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
        mem_mb=growing(3000),
        runtime=growing(20),
    params:
        options=json.dumps(report_options()),
        run=cfg.run,
        truth=json.dumps(TRUTH),
        solutions=lambda wildcards, input: json.dumps(list(input.solutions)),
        verdicts=lambda wildcards, input: json.dumps(list(input.verdicts)),
        ledgers=lambda wildcards, input: json.dumps(list(input.ledgers)),
        benchmarks=f"{RESULTS}/benchmarks",
    shell:
        "python {input.script:q} --options {params.options:q} --run {params.run:q}"
        " --truth {params.truth:q} --ledgers {params.ledgers:q} --catalogs {input.catalogs:q}"
        " --segmentations {input.segmentations:q} --mosaics {input.mosaics:q} --stars {input.stars:q}"
        " --wcs {input.wcs:q} --solutions {params.solutions:q} --verdicts {params.verdicts:q}"
        " --reference-stars {input.reference_stars:q}"
        " --encircled-energy {input.encircled_energy:q} --psfs {input.psfs:q}"
        " --benchmarks {params.benchmarks:q} --page {output.page:q} --summary {output.summary:q}"
        " --times-page {output.times_page:q} --times {output.times:q}"
        " --pictures {output.pictures:q} --astrometry {output.astrometry:q} --fluxes {output.fluxes:q}"
        " --pulls {output.pulls:q} --depth {output.depth:q} > {log:q} 2>&1"
