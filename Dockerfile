# One image for both jobs: the nightly batch (the default) and the endpoint.
#   docker build -t anomdiff .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/data" -e MLFLOW_TRACKING_URI=... anomdiff \
#       anomdiff score /data/score.toml
#   docker run --rm --init -p 5000:5000 -e MLFLOW_TRACKING_URI=... anomdiff \
#       mlflow models serve -m models:/NAME@champion --env-manager local --host 0.0.0.0 --port 5000
FROM python:3.11-slim

# Where pip finds a CPU build of torch, on networks that mirror it.
ARG PIP_FIND_LINKS
ARG PIP_EXTRA_INDEX_URL

ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    MLFLOW_DISABLE_TELEMETRY=true \
    OMP_NUM_THREADS=1 \
    OMP_WAIT_POLICY=PASSIVE

WORKDIR /app
COPY constraints.txt ./
COPY .ci/install-torch .ci/install-torch
RUN python -m pip install --upgrade 'pip>=25.1' && PYTHON=python sh .ci/install-torch

COPY pyproject.toml README.md LICENSE ./
COPY anomdiff anomdiff
# Only the installed copy stays, so that there is one place to import from.
RUN python -m pip install -c constraints.txt . && rm -r anomdiff

RUN useradd --create-home --uid 10001 anomdiff && mkdir /data && chown anomdiff /data
USER anomdiff
WORKDIR /data
EXPOSE 5000
CMD ["anomdiff", "score", "--help"]
