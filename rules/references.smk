# Calibration references: made from the numbers of a detector state, then selected per exposure.

MADE = sorted(
    {
        file
        for chosen in plan.selections.values()
        for file in chosen.files.values()
        if not Path(file).is_absolute()
    }
)
STEMS = sorted({Path(file).stem.split("_", 1)[1] for file in MADE})


rule make_references:
    """Make the references of one detector in one state."""
    input:
        script="<scripts>/make_references.py",
        state=f"{find_file(cfg.references.states, BASE)}/{{state}}.yaml",
    output:
        expand("<results>/references/{{state}}/{{detector}}_{stem}.asdf", stem=STEMS),
    log:
        "<logs>/make_references/{state}_{detector}.log",
    benchmark:
        "<benchmarks>/make_references/{state}_{detector}.tsv"
    conda:
        "../envs/tessella.yaml"
    resources:
        mem_mb=growing(1500, whole=3000),
        runtime=growing(10),
    params:
        options=json.dumps({"pixfrac": cfg.coadd.pixfrac, "window": vars(cfg.detector_window)}),
        useafter=lambda wildcards: useafter_of(wildcards.state),
    shell:
        "python {input.script:q} --options {params.options:q} --state {input.state:q}"
        " --detector {wildcards.detector:q} --useafter {params.useafter:q} --references {output:q} > {log:q} 2>&1"


rule select_references:
    """Record which references, with their hashes, serve one kind of exposure."""
    input:
        script="<scripts>/select_references.py",
        references=lambda wildcards: [
            reference_path(file) for file in plan.selections[wildcards.selection].files.values()
        ],
    output:
        selection="<results>/references/selections/{selection}.json",
    log:
        "<logs>/select_references/{selection}.log",
    benchmark:
        "<benchmarks>/select_references/{selection}.tsv"
    conda:
        "../envs/tessella.yaml"
    resources:
        mem_mb=growing(500),
        runtime=growing(5),
    params:
        reftypes=lambda wildcards: json.dumps(list(plan.selections[wildcards.selection].files)),
        context=lambda wildcards: plan.selections[wildcards.selection].context,
        sha256=lambda wildcards: json.dumps(plan.selections[wildcards.selection].sha256),
    shell:
        "python {input.script:q} --reftypes {params.reftypes:q} --context {params.context:q}"
        " --sha256 {params.sha256:q} --references {input.references:q}"
        " --selection {output.selection:q} > {log:q} 2>&1"


rule make_reference_stars:
    """Make the catalogue of stars that exposures are aligned with."""
    input:
        script="<scripts>/make_reference_stars.py",
        table=find_file(cfg.reference_stars.table, BASE),
    output:
        stars="<results>/references/reference_stars.parquet",
    log:
        "<logs>/make_reference_stars.log",
    benchmark:
        "<benchmarks>/make_reference_stars.tsv"
    conda:
        "../envs/tessella.yaml"
    resources:
        mem_mb=growing(500),
        runtime=growing(5),
    params:
        options=section(cfg.reference_stars),
        shards=lambda wildcards: json.dumps(reference_shards()),
    shell:
        "python {input.script:q} --options {params.options:q} --shards {params.shards:q}"
        " --table {input.table:q} --stars {output.stars:q} > {log:q} 2>&1"
