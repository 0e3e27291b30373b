# One solution for the pointings of all images of a region.


rule solve_astrometry:
    """Solve for star positions and for the corrections of all overlapping images together."""
    input:
        script="<scripts>/solve_astrometry.py",
        stars=of_region("stars.ecsv"),
        wcs=of_region("wcs.asdf"),
        reference_stars="<results>/references/reference_stars.parquet",
    output:
        astrometry="<results>/level3/region{region}_astrometry.ecsv",
    log:
        "<logs>/solve_astrometry/{region}.log",
    benchmark:
        "<benchmarks>/solve_astrometry/{region}.tsv"
    conda:
        "../envs/tessella.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=growing(30),
    params:
        options=section(cfg.solve),
        stars=listed("solve_astrometry", "stars"),
        wcs=listed("solve_astrometry", "wcs"),
    shell:
        "python {input.script:q} --options {params.options:q} --stars {params.stars:q} --wcs {params.wcs:q}"
        " --reference-stars {input.reference_stars:q} --astrometry {output.astrometry:q} > {log:q} 2>&1"
