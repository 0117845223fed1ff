FROM kilnbase:1
RUN echo zero > /n
FROM kilnbase:1 AS named
COPY --from=0 /n /zero
FROM scratch
COPY --from=1 /zero /from-one
COPY --from=named /zero /from-named
