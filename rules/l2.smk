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


# Outputs cannot depend on the exposure: those of given images, which may have different detectors, are
# made by a rule for each set of them.
for number, (own, names) in enumerate(detector_sets().items(), 1):

    rule:
        """Align the detectors of one exposure with the reference stars; with too few the pointing stands."""
        name:
            "align_exposures" if number == 1 else f"align_exposures_{number}"
        input:
            script="<scripts>/align_exposures.py",
            images=of_detectors(lambda name, detector: level2_file(name, detector, "cal.asdf")),
            psfs=of_detectors(lambda name, detector: reference_of("epsf", name, detector)),
            reference_stars="<results>/references/reference_stars.parquet",
        output:
            wcs=expand(
                "<results>/level2/{{exposure}}_{detector}_{{element}}_wcs.asdf", detector=own
            ),
            stars=expand(
                "<results>/level2/{{exposure}}_{detector}_{{element}}_stars.ecsv", detector=own
            ),
        log:
            "<logs>/align_exposures/{exposure}_{element}.log",
        benchmark:
            "<benchmarks>/align_exposures/{exposure}_{element}.tsv"
        wildcard_constraints:
            exposure="|".join(names) if len(detector_sets()) > 1 else r"r\d{19}_\d{4}",
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
