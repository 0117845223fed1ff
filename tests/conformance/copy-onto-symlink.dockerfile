FROM kilnbase:1
RUN echo old > /target && ln -s /target /link && mkdir /dir && ln -s dir /dirlink && ln -s /missing /dangling
COPY plain.txt /link
COPY dir /dirlink
COPY dir/sub /dirlink/
COPY links/file /dirlink/followed
