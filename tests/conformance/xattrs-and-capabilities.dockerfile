FROM kilnbase:1
COPY xattrs /x
RUN cp -a /x /y
