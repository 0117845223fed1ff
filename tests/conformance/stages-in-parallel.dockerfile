FROM kilnbase:1 AS a
RUN echo a > /a
FROM kilnbase:1 AS b
RUN echo b > /b
FROM a AS c
COPY --from=b /b /b
FROM c
RUN cat /a /b > /ab
