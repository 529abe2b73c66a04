"""Airflow DAG, of version 2 or 3, that scores the file of each day at 03:00 UTC of the next.

Change: FOLDER, the names of the files in COMMAND, the hour, and `catchup`, with which the days
since `start_date` are scored too. Secrets are environment variables of the workers, such as
SLACK_URL. 75 (a store does not answer) and 9 (the message could not be sent) are tried again;
whatever else is not 0 fails at once, and a file that was written is not lost.
"""

import shlex
import subprocess
from datetime import datetime, timedelta, timezone

from airflow.timetables.interval import CronDataIntervalTimetable

try:
    from airflow.providers.standard.operators.python import PythonOperator
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.operators.python import PythonOperator
try:
    from airflow.sdk.exceptions import AirflowException, AirflowFailException
except ImportError:  # earlier versions
    from airflow.exceptions import AirflowException, AirflowFailException

FOLDER = "/srv/anomdiff"  # holds score.toml
COMMAND = (
    "anomdiff score score.toml --data landing/{date}.parquet --output scored --batch-date {date}"
)
TRY_AGAIN = (9, 75)


def score(date: str) -> None:
    """Score the file of a date, and tell Airflow whether to try again."""
    words = shlex.split(COMMAND.format(date=date))
    code = subprocess.run(words, cwd=FOLDER, check=False).returncode
    if code:
        error = AirflowException if code in TRY_AGAIN else AirflowFailException
        raise error(f"anomdiff score ended with exit code {code}")


with DAG(
    "anomdiff_score",
    # The same dates in Airflow 2 and 3: those of the day that has ended.
    schedule=CronDataIntervalTimetable("0 3 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),  # noqa: UP017  # of Python 3.11
    catchup=False,
    max_active_runs=1,
) as dag:
    PythonOperator(
        task_id="score",
        python_callable=score,
        op_args=["{{ data_interval_start.strftime('%Y-%m-%d') }}"],
        retries=4,
        retry_delay=timedelta(minutes=10),
        execution_timeout=timedelta(hours=4),
    )
