FROM kilnbase:1
COPY no-such-file /
#: fails
