"""deepot every night from Airflow 3: a job submitted to a Ray cluster, and what it did for the next tasks."""

from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

# Airflow's workers are not of the cluster, so the job is handed to its job server. JOBS is sent there: a folder of job
# files and nothing else. awk puts the line of JSON last, which makes it the XCom. A try that ends for any reason,
# a lost connection among them, takes its job with it, so that the next try does not begin beside it.
COMMAND = r"""
set -o pipefail
HEAD=http://HEAD:8265 JOBS=/srv/archive/jobs RAY=/opt/deepot/.venv/bin/ray
id="deepot-$(date +%s)-$$"
trap '"$RAY" job stop --no-wait --address "$HEAD" "$id" > /dev/null 2>&1' EXIT
"$RAY" job submit --address "$HEAD" --submission-id "$id" --working-dir "$JOBS" -- \
    deepot run scans.yaml --address auto --json --retry-failed 2>&1 |
    awk '{ print; fflush() } /^\{"run"/ { told = $0 } END { if (told) print told }'
"""

with DAG(
    dag_id="deepot",
    schedule="30 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,  # one run does all that nights without one have left
    max_active_runs=1,
    tags=["photos"],
) as dag:
    run = BashOperator(
        task_id="run",
        bash_command=COMMAND,
        retries=1,  # for lost connections and clusters; too many failed images and a bad job fail again, and soon
        retry_delay=timedelta(minutes=10),
        execution_timeout=timedelta(hours=20),
    )
