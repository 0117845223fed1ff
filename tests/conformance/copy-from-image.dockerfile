FROM scratch
COPY --from=kilnbase:1 /bin/busybox /bin/sh /bin/
COPY --from=kilnbase:1 /etc/passwd /etc/
COPY --from=kilnbase:1 /lib /lib
