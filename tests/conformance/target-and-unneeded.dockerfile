FROM kilnbase:1 AS wanted
RUN echo wanted > /w
FROM wanted AS skipped
RUN exit 9
FROM doesnotexist:1 AS unresolved
RUN exit 8
#: args --target wanted
