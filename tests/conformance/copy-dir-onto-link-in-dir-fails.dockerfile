FROM kilnbase:1
RUN mkdir -p /d /elsewhere && ln -s /elsewhere /d/sub
COPY dir /d
#: fails
