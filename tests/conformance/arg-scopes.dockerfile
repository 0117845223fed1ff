ARG TAG=1
ARG GLOBAL=fromglobal
FROM kilnbase:${TAG} AS one
ARG GLOBAL
ARG WITH=default
ARG OVER=default
ARG UNSET
RUN echo "$GLOBAL|$WITH|$OVER|${UNSET-unset}|$TAG" > /args
ENV WITH=env
RUN echo "$WITH" >> /args
FROM one
RUN echo "child $GLOBAL|$WITH|$OVER" >> /args
ARG WITH=again
RUN echo "$WITH" >> /args
#: args --build-arg OVER=given
