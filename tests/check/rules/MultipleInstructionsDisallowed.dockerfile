FROM scratch
COPY app /
CMD ["/app"]
HEALTHCHECK NONE
HEALTHCHECK --interval=5s \
    CMD ["/app", "--check"]
CMD ["/app", "--serve"]
