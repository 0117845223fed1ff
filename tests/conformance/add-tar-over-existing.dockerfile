FROM kilnbase:1
RUN mkdir -p /x/dir && echo old > /x/dir/file && chmod 711 /x
ADD archive.tar /x
