# Level 1 to Level 2: slopes, flags, uncertainties, and where on the sky they are.


rule calibrate_exposure:
    """Calibrate all detectors of one exposure."""
    input:
        script="<scripts>/calibrate_exposure.py",
        ramps=level1,
        selections=selections,
        earlier=lambda wildcards: [path for path in left_before(wildcards.exposure) if path],
    output:
        images=expand(
            "<results>/level2/{{exposure}}_{detector}_{{element}}_cal.asdf", detector=DETECTORS
        ),
        left=expand(
            "<results>/level2/{{exposure}}_{detector}_{{element}}_persistence.asdf",
            detector=DETECTORS if cfg.calibrate.persistence else [],
        ),
        verdict="<results>/level2/{exposure}_{element}_verdict.json",
    log:
        "<logs>/calibrate_exposure/{exposure}_{element}.log",
    benchmark:
        "<benchmarks>/calibrate_exposure/{exposure}_{element}.tsv"
    conda:
        "../envs/tessella.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(20),
    params:
        options=section(cfg.calibrate),
        window=json.dumps(vars(cfg.detector_window)),
        earlier=lambda wildcards: json.dumps(left_before(wildcards.exposure)),
        left=lambda wildcards, output: json.dumps(list(output.left)),
    shell:
        "python {input.script:q} --options {params.options:q} --window {params.window:q} --workers {threads}"
        " --ramps {input.ramps:q} --selections {input.selections:q} --earlier {params.earlier:q}"
        " --images {output.images:q} --left {params.left:q} --verdict {output.verdict:q} > {log:q} 2>&1"


rule align_exposures:
    """Align the detectors of one exposure with the reference stars; with too few the pointing stands."""
    input:
        script="<scripts>/align_exposures.py",
        images=expand(
            "<results>/level2/{{exposure}}_{detector}_{{element}}_cal.asdf", detector=DETECTORS
        ),
        psfs=lambda wildcards: [reference_of("epsf", wildcards.exposure, d) for d in DETECTORS],
        reference_stars="<results>/references/reference_stars.ecsv",
    output:
        wcs=expand(
            "<results>/level2/{{exposure}}_{detector}_{{element}}_wcs.asdf", detector=DETECTORS
        ),
        stars=expand(
            "<results>/level2/{{exposure}}_{detector}_{{element}}_stars.ecsv", detector=DETECTORS
        ),
    log:
        "<logs>/align_exposures/{exposure}_{element}.log",
    benchmark:
        "<benchmarks>/align_exposures/{exposure}_{element}.tsv"
    conda:
        "../envs/tessella.yaml"
    resources:
        mem_mb=growing(1000, whole=2500),
        runtime=growing(20),
    params:
        options=section(cfg.align),
    shell:
        "python {input.script:q} --options {params.options:q} --images {input.images:q} --psfs {input.psfs:q}"
        " --reference-stars {input.reference_stars:q} --wcs {output.wcs:q} --stars {output.stars:q} > {log:q} 2>&1"
