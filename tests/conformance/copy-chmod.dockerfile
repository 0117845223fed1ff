FROM kilnbase:1
COPY --chmod=755 plain.txt /m/one
COPY --chmod=0600 dir /m/two
COPY --chmod=4711 --chown=5:6 plain.txt /m/three
