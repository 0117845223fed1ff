FROM kilnbase:1 AS First.Stage-1
RUN echo first > /first
FROM first.stage-1 AS SECOND
COPY --from=FIRST.stage-1 /first /copied
COPY --from=1 /bin/helper /never
#: fails
