FROM kilnbase:1
USER nosuchuser
RUN true
#: fails
