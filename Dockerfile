# Two stages: the first builds, the second holds the program and what it needs to run, nothing more.

FROM debian:bookworm-slim AS build
WORKDIR /src
COPY scripts/install-packages.sh scripts/packages.txt scripts/
RUN scripts/install-packages.sh build
COPY . .
RUN make && make install PREFIX=/usr/local DESTDIR=/out

FROM debian:bookworm-slim
COPY scripts/install-packages.sh scripts/packages.txt /tmp/
RUN /tmp/install-packages.sh run && rm -rf /tmp/* /var/lib/apt/lists/*
RUN useradd --uid 10001 --no-create-home --home-dir /var/lib/nabla --shell /usr/sbin/nologin nabla \
    && install -d -o nabla -g nabla /var/lib/nabla
COPY --from=build /out/usr/local/bin/nabla /usr/local/bin/nabla

USER nabla
# All addresses of the container, so tokens are asked for: docker exec CONTAINER nabla token create NAME
ENV NABLA_LISTEN=0.0.0.0:8080 NABLA_DATA=/var/lib/nabla
VOLUME /var/lib/nabla
EXPOSE 8080
# SIGTERM: the server is gone within 8 s, docker stop allows 10.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["nabla", "health"]
ENTRYPOINT ["nabla"]
CMD ["serve"]
