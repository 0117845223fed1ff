FROM kilnbase:1
COPY --chown=solo plain.txt /solo
COPY --chown=nobody:staff plain.txt /nobody
COPY --chown=1000 plain.txt /number
COPY --chown=solo:1000 plain.txt /mixed
ARG WHO=www
COPY --chown=${WHO}:extra plain.txt /expanded
RUN echo 'late:x:555:556::/:/bin/sh' >> /etc/passwd && echo 'lategroup:x:557:' >> /etc/group
COPY --chown=late:lategroup plain.txt /late
COPY --chown=late plain.txt /late2
