FROM kilnbase:1
EXPOSE 80 443/tcp 53/udp 8000-8003
VOLUME /data
VOLUME ["/json", "/two words"]
VOLUME /a /b
RUN mkdir -p /data && echo kept > /data/file
STOPSIGNAL SIGQUIT
LABEL one=1 "two words"="x y" three='single'
LABEL one=again
