# Stages that run side by side, and one that takes from all of them.
FROM mixed:1 AS one
RUN mkdir -p /out/one && echo one > /out/one/file && chown -R 10:20 /out && rm /srv/tool
FROM mixed:1 AS two
WORKDIR /out
RUN echo two > two && chmod 4750 two && ln two again && ln -s two link
FROM one AS three
RUN cat /out/one/file > /out/three && ls /srv >> /out/three
FROM mixed:1
COPY --from=one /out /from/one
COPY --from=two --chown=app:more /out /from/two/
COPY --from=three /out/three /srv /from/three/
RUN ls -ln /from /from/two | awk '{ print $1, $2, $3, $4, $9 }' > /seen
COPY --from=mixed:1 /srv/app /straight
