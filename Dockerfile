# lb, lb-replay and the ready-made workers in one image: docker build -t trade-balancer .
FROM python:3.13-slim-trixie AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --wheel-dir /wheels '.[books,control,emit,fix,kafka,metrics,parquet,postgresql,questdb,replay,typed,zstd]'

FROM python:3.13-slim-trixie
# Nothing is fetched any more, and no compiler stays.
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index /wheels/*.whl \
    && useradd --create-home --uid 1000 lb
USER 1000
WORKDIR /home/lb
# lb may be the first process: it reaps what its workers leave. Give it time to deliver at a stop: docker stop --time 30.
STOPSIGNAL SIGTERM
CMD ["lb", "--help"]
