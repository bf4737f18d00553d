# docker build -t telecine . && docker run --rm telecine import /usr/share/telecine/sample.csv --sandbox
FROM rust:1.95-slim-bookworm AS build
WORKDIR /telecine
COPY . .
RUN cargo build --release --locked

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --home-dir /data --create-home telecine
COPY --from=build /telecine/target/release/telecine /usr/local/bin/telecine
COPY --from=build /telecine/manifests/sample.csv /usr/share/telecine/sample.csv
USER telecine
# manifests, telecine.toml, the ledger and the reports
WORKDIR /data
VOLUME /data
# it handles SIGTERM itself: `docker stop --time 300` waits for the answers of requests in flight
ENTRYPOINT ["telecine"]
CMD ["--help"]
