FROM kilnbase:1
HEALTHCHECK CMD ["/bin/true", "--flag"]
