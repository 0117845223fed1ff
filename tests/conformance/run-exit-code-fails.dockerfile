FROM kilnbase:1
RUN exit 3
#: fails
