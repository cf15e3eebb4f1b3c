# The environment of a run in a container; the code is cloned by the pull step of each run.
#   docker build -t chimle:0.1 .
# For other CUDA versions name PyTorch's index: --build-arg EXTRA_INDEX=https://download.pytorch.org/whl/cu128
FROM python:3.12-slim

ARG EXTRA_INDEX=""
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git tini \
    && rm -rf /var/lib/apt/lists/*
COPY requirements.lock /tmp/
RUN pip install --no-cache-dir ${EXTRA_INDEX:+--extra-index-url "$EXTRA_INDEX"} -r /tmp/requirements.lock
RUN useradd --create-home chimle && install -d -o chimle -g chimle /work
USER chimle
WORKDIR /work
ENV PYTHONUNBUFFERED=1
# Reaps orphaned processes of a killed training.
ENTRYPOINT ["tini", "--"]
