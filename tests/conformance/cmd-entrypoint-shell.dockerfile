FROM kilnbase:1
CMD echo hello
ENTRYPOINT ["/bin/sh", "-c"]
SHELL ["/bin/busybox", "sh", "-c"]
CMD shell form $X
