FROM kilnbase:1 AS kilnwithcmd
RUN echo shadow > /shadow
FROM kilnwithcmd
COPY --from=kilnwithcmd /shadow /shadow2
