# The binary in a small image, run by a user without rights.
#   docker build -t clicksieve .
#   docker run -v ./clicksieve.yaml:/etc/clicksieve/clicksieve.yaml:ro -v clicksieve-state:/var/lib/clicksieve -p 8080:8080 clicksieve
FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --release --locked --bin clicksieve \
    && mkdir -p /empty-state

# Debian's C library, libgcc and the CA certificates; no shell, no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /source/target/release/clicksieve /usr/local/bin/clicksieve
COPY --from=build --chown=nonroot:nonroot /empty-state /var/lib/clicksieve
COPY LICENSE /usr/share/doc/clicksieve/LICENSE
USER nonroot
WORKDIR /var/lib/clicksieve
VOLUME /var/lib/clicksieve
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/clicksieve"]
CMD ["run", "--config", "/etc/clicksieve/clicksieve.yaml"]
