FROM kilnbase:1
COPY links/dangling /x
#: fails
