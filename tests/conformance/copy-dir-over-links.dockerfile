FROM kilnbase:1
RUN mkdir -p /d && ln -s /etc/base.conf /d/file && ln -s nowhere /d/a.sh
COPY dir /d
