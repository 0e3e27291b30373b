# Which images are added in no coadd of a group, and why.


rule list_exclusions:
    """List every image that a cut, the planned tiles or the alignment leaves out of a group."""
    input:
        script="<scripts>/list_exclusions.py",
        astrometry=list(astrometry_of_regions().values()),
    output:
        table=exclusions_table(),
    log:
        "<logs>/list_exclusions.log",
    benchmark:
        "<benchmarks>/list_exclusions.tsv"
    conda:
        "../envs/tessella.yaml"
    resources:
        mem_mb=growing(500),
        runtime=growing(5),
    params:
        options=section(cfg.groupings),
        # The name of the plan changes with all that it depends on.
        plan=plan_path(cfg, BASE),
        astrometry=json.dumps(astrometry_of_regions()),
    shell:
        "python {input.script:q} --options {params.options:q} --plan {params.plan:q}"
        " --astrometry {params.astrometry:q} --table {output.table:q} > {log:q} 2>&1"
