# The server in an image that has nothing else, and runs as nobody in particular.
#
#   docker build -t meldb .
#   docker run -p 127.0.0.1:8080:8080 -v meldb-data:/data meldb
#   docker exec CONTAINER meldb keys create --tenant acme --name me --scope 'provisioning:*'
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --locked --profile dist --features postgres && mkdir /empty

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/dist/meldb /usr/bin/meldb
COPY --from=build --chown=nonroot:nonroot --chmod=700 /empty /data
# 0.0.0.0 is what a container is reached at. Keys and documents are in the clear there: publish the port to
# this machine alone, behind a proxy with TLS, or set MELDB_TLS_CERTIFICATES and MELDB_TLS_PRIVATE_KEY.
ENV MELDB_DIR=/data MELDB_LISTEN=0.0.0.0:8080
VOLUME /data
EXPOSE 8080
USER nonroot
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["/usr/bin/meldb", "ready", "--dir", "/data"]
ENTRYPOINT ["/usr/bin/meldb"]
CMD ["serve"]
