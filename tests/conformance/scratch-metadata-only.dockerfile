FROM scratch
LABEL a=b
ENTRYPOINT ["/none"]
