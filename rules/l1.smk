# Telemetry to Level 1.


rule decode_telemetry:
    """Find the packets of one exposure and put its rows in place."""
    input:
        script="<scripts>/decode_telemetry.py",
        telemetry=telemetry,
    output:
        readouts="<results>/level0/{exposure}_readouts.h5",
        ledger="<results>/level0/{exposure}_ledger.parquet",
    log:
        "<logs>/decode_telemetry/{exposure}.log",
    benchmark:
        "<benchmarks>/decode_telemetry/{exposure}.tsv"
    conda:
        "../envs/tessella.yaml"
    resources:
        mem_mb=growing(1000, whole=1500),
        runtime=growing(15),
    params:
        options=json.dumps(
            {"detectors": [d.upper() for d in DETECTORS], "window": vars(cfg.detector_window)}
        ),
        telemetry=listed("decode_telemetry", "telemetry"),
        # Where the packets of each exposure are; simulated ones have files of their own.
        holdings=json.dumps(str(cache_folder(cfg)) if cfg.source == "telemetry" else None),
    shell:
        "python {input.script:q} --options {params.options:q} --exposure {wildcards.exposure:q}"
        " --telemetry {params.telemetry:q} --holdings {params.holdings:q}"
        " --readouts {output.readouts:q} --ledger {output.ledger:q} > {log:q} 2>&1"


rule assemble_ramp:
    """Write the official Level 1 file of each detector of one exposure."""
    input:
        script="<scripts>/assemble_ramp.py",
        readouts="<results>/level0/{exposure}_readouts.h5",
    output:
        ramps=expand(
            "<results>/level1/{{exposure}}_{detector}_{{element}}_uncal.asdf", detector=DETECTORS
        ),
    log:
        "<logs>/assemble_ramp/{exposure}_{element}.log",
    benchmark:
        "<benchmarks>/assemble_ramp/{exposure}_{element}.tsv"
    conda:
        "../envs/tessella.yaml"
    resources:
        mem_mb=growing(1000, whole=1500),
        runtime=growing(15),
    params:
        options=json.dumps(
            {
                "complete_fraction": cfg.telemetry.complete_fraction,
                "detectors": [d.upper() for d in DETECTORS],
            }
        ),
    shell:
        "python {input.script:q} --options {params.options:q} --readouts {input.readouts:q}"
        " --ramps {output.ramps:q} > {log:q} 2>&1"


rule write_guide_window:
    """Write the official file of the guide window of one detector of one exposure."""
    input:
        script="<scripts>/write_guide_window.py",
        readouts="<results>/level0/{exposure}_readouts.h5",
    output:
        guide_window="<results>/level1/{exposure}_{detector}_{element}_gw.asdf",
    log:
        "<logs>/write_guide_window/{exposure}_{detector}_{element}.log",
    benchmark:
        "<benchmarks>/write_guide_window/{exposure}_{detector}_{element}.tsv"
    conda:
        "../envs/tessella.yaml"
    resources:
        mem_mb=growing(1000, whole=1500),
        runtime=growing(10),
    params:
        detector=lambda wildcards: wildcards.detector.upper(),
    shell:
        "python {input.script:q} --readouts {input.readouts:q} --detector {params.detector:q}"
        " --guide-window {output.guide_window:q} > {log:q} 2>&1"
