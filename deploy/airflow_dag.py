"""deepot every night from Airflow 3: a task that goes on where it stopped, and tells the next ones what it did."""

from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG(
    dag_id="deepot",
    schedule="30 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,  # one run does all that nights without one have left
    max_active_runs=1,
    tags=["photos"],
) as dag:
    # The last line of a task's output is its XCom: here one line of JSON. The working directory of retries is new,
    # so all paths are whole. Exit status 1: too many images failed; 2: the job could not run.
    run = BashOperator(
        task_id="run",
        bash_command="/opt/deepot/.venv/bin/deepot run /srv/archive/scans.yaml --address auto --json",
        retries=2,
        retry_delay=timedelta(minutes=10),
        execution_timeout=timedelta(hours=20),
        append_env=True,
        env={"RAY_ADDRESS": "HEAD:6379"},
    )
