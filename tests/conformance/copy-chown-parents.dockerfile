FROM kilnbase:1
COPY --chown=5:6 plain.txt /new/parents/here/
COPY --chown=7:8 dir /existing/more/dir
COPY --chown=9:10 dir /existing
WORKDIR /wd/a
COPY --chown=www plain.txt b/c/
