# From the telemetry of the Roman Wide Field Instrument to catalogs.
# Values: config/*.yaml. What they mean: src/tessella/config_sections.py. Order of steps: src/tessella/recipe.py.
import os
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.20")


configfile: f"{workflow.basedir}/config/default.yaml"


from tessella import environment, errors
from tessella.config import load, section
from tessella.io.runs import start_run
from tessella.plan.build import find_file, load_plan
from tessella.plan.checks import check_inputs
from tessella.run import claims, slurm_jobs

BASE = Path(workflow.basedir)
try:
    cfg = load(config, [BASE / "config/default.yaml", *workflow.overwrite_configfiles])
    environment.check_host(cfg.environment.cpu_level)
    asked = None
    if workflow.is_main_process:
        asked = claims.asked_of_snakemake(sys.argv[1:], f"{cfg.results}/{cfg.run}")
        claims.refuse_second(".", asked)
    plan = load_plan(cfg, BASE, workflow.is_main_process)
    check_inputs(cfg, plan, BASE)
except (errors.ConfigError, errors.DataError) as error:
    sys.exit(f"ERROR: {error}")

if workflow.is_main_process:
    for held in plan.held:
        sys.stderr.write(f"{held.what}: {held.reason}\n")

os.environ.update(
    # Jobs see the tools of the environment that runs Snakemake (python, mpiexec), activated or not.
    PATH=os.pathsep.join((str(Path(sys.executable).parent), *os.get_exec_path())),
    # Progress is recorded beside the results.
    TESSELLA_RESULTS=f"{cfg.results}/{cfg.run}",
)
# What bits depend on, said in every job's shell: Snakemake sets the threads of libraries there.
shell.prefix(environment.exports(cfg.environment.cpu_level))


pathvars:
    results=f"{cfg.results}/{cfg.run}",
    logs=f"{cfg.results}/{cfg.run}/logs",
    benchmarks=f"{cfg.results}/{cfg.run}/benchmarks",
    scripts=f"{BASE}/workflow_scripts",


include: "rules/common.smk"


rule all:
    default_target: True
    input:
        products(),
        report_page(),
        "<results>/manifest.json",


include: "rules/references.smk"
include: "rules/simulate.smk"
include: "rules/l1.smk"
include: "rules/l2.smk"
include: "rules/l3_astrometry.smk"
include: "rules/l3_solution.smk"
include: "rules/l3.smk"
include: "rules/l3_associations.smk"
include: "rules/l4.smk"


if exclusions():

    include: "rules/l3_groupings.smk"


if reported_tiles():

    include: "rules/quality.smk"


if cfg.calibration.measure:

    include: "rules/calibration.smk"


include: "rules/manifest.smk"


onstart:
    jobs = list(workflow.dag.needrun_jobs())
    remote = next((job for job in jobs if not job.is_local), None)
    # Slurm's executor calls all jobs of a run by one name; the others have none.
    jobs_name = getattr(remote and workflow.scheduler.get_executor(remote), "run_uuid", "")
    try:
        cared_for = {claim.jobs_name for claim in claims.live_claims(".")} - {""}
        planned = ((job.rule.name, job.wildcards) for job in jobs)
        slurm_jobs.refuse_doubles(".", planned, cared_for)
        claims.take(".", asked, [str(file) for job in jobs for file in job.output], jobs_name)
        start_run(f"{cfg.results}/{cfg.run}")
    except errors.DataError as error:
        sys.exit(f"ERROR: {error}")


onsuccess:
    shell("tessella status {cfg.results:q}/{cfg.run:q} || true")


onerror:
    shell("tessella status {cfg.results:q}/{cfg.run:q} --log {log:q} || true")
