FROM kilnbase:1
RUN mkdir -p /d /elsewhere && ln -s /elsewhere /d/sub && ln -s /etc/base.conf /d/file
COPY dir /d
