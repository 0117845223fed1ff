FROM kilnbase:1
ENV SIG=SIGTERM WHO=www
STOPSIGNAL $SIG
USER ${WHO}:staff
SHELL ["/bin/sh", "-x", "-c"]
ENTRYPOINT echo "$WHO" 'a  b'
HEALTHCHECK --timeout=1m30s CMD test -e "/x y" && echo $WHO
