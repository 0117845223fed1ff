FROM scratch as base
COPY app /
