# syntax=docker/dockerfile:1
# Targets: `nhiwatch` (default; the service) and `generator` (for the compose file: events of a
# simulated bank into a topic).

FROM rust:1.95-bookworm AS build
WORKDIR /build
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin nhiwatch \
    && cp target/release/nhiwatch /usr/local/bin/nhiwatch

FROM debian:bookworm-slim AS generator
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends kcat \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /usr/local/bin/nhiwatch /usr/local/bin/nhiwatch
USER 65532:65532
ENTRYPOINT ["/bin/bash", "-euo", "pipefail", "-c"]
CMD ["nhiwatch simulate --format native"]

FROM gcr.io/distroless/cc-debian12:nonroot AS nhiwatch
COPY --from=build /usr/local/bin/nhiwatch /usr/local/bin/nhiwatch
COPY config /etc/nhiwatch
# glibc asks for large pages: a restart that restores much is sooner done (docs/performance.md).
ENV GLIBC_TUNABLES=glibc.malloc.hugetlb=1
EXPOSE 9464
ENTRYPOINT ["/usr/local/bin/nhiwatch"]
CMD ["run", "--config", "/etc/nhiwatch/nhiwatch.yaml"]
