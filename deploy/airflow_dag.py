"""deepot every night from Airflow 3: submits a job to a Ray cluster and passes its summary to the next tasks."""

from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

# Airflow's workers are not part of the cluster, so the job is submitted to the cluster's job server, together with the
# folder JOBS, which has only job files. awk repeats the line of JSON at the end, which makes it the XCom. A try that
# ends for any reason, such as a lost connection, stops its job, so that the next try does not run beside it.
COMMAND = r"""
set -o pipefail
HEAD=http://HEAD:8265 JOBS=/srv/archive/jobs RAY=/opt/deepot/.venv/bin/ray
id="deepot-$(date +%s)-$$"
trap '"$RAY" job stop --no-wait --address "$HEAD" "$id" > /dev/null 2>&1' EXIT
"$RAY" job submit --address "$HEAD" --submission-id "$id" --working-dir "$JOBS" -- \
    deepot run scans.yaml --address auto --json --retry-failed 2>&1 |
    awk '{ print; fflush() } /^\{"run"/ { summary = $0 } END { if (summary) print summary }'
"""

with DAG(
    dag_id="deepot",
    schedule="30 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,  # one run also processes what skipped nights have left
    max_active_runs=1,
    tags=["photos"],
) as dag:
    run = BashOperator(
        task_id="run",
        bash_command=COMMAND,
        retries=1,  # for lost connections and clusters; a wrong job file fails again at once
        retry_delay=timedelta(minutes=10),
        execution_timeout=timedelta(hours=20),
    )
