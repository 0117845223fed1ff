# Several stages without a RUN in those that are needed.
FROM mixed:1 AS unneeded
RUN false
FROM scratch AS first
COPY tree/ /tree/
FROM mixed:1 AS second
COPY --from=first /tree/sub /sub
WORKDIR /sub
FROM second
COPY --from=first --chown=1000 /tree /everything
COPY --from=mixed:1 /srv/app /straight
STOPSIGNAL SIGINT
