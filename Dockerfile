# The binary in a small image, run by a user without rights.
#   docker build -t clicksieve .
#   docker run -v ./clicksieve.yaml:/etc/clicksieve/clicksieve.yaml:ro -v clicksieve-state:/var/lib/clicksieve -p 8080:8080 clicksieve
FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo static && mv target/*/release/clicksieve /clicksieve && mkdir -p /empty-state /empty-tmp

# Nothing but the file: no C library, no shell, no package manager.
FROM scratch
COPY --from=build /clicksieve /usr/local/bin/clicksieve
COPY --from=build --chown=65532:65532 /empty-state /var/lib/clicksieve
COPY --from=build --chown=65532:65532 /empty-tmp /tmp
COPY LICENSE /usr/share/doc/clicksieve/LICENSE
USER 65532:65532
WORKDIR /var/lib/clicksieve
VOLUME /var/lib/clicksieve
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/clicksieve"]
CMD ["run", "--config", "/etc/clicksieve/clicksieve.yaml"]
